// Any AbortSignal stops an answer, between two tokens or in the middle of one.
import { AbortedError, Llava } from '../src/index.ts';

await using model = await Llava.load('models/demo');
try {
  const signal = AbortSignal.timeout(50);
  console.log(await model.ask('What is this?', { image: 'examples/images/apple.png', maxTokens: 500, signal }));
} catch (error) {
  if (!(error instanceof AbortedError)) throw error;
  console.log('Too slow: stopped.');
}
