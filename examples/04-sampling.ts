// Varied answers: temperature and filters make them, the seed makes them repeatable.
import { Llava } from '../src/index.ts';

await using model = await Llava.load('models/demo');
const image = 'examples/images/apple.png';
for (const seed of [1, 2, 3]) {
  console.log(await model.ask('What is this?', { image, temperature: 0.8, topP: 0.95, minP: 0.05, seed, stop: ['.'] }));
}
