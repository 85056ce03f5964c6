// Show an answer while it is made, and how it ended.
import { Llava } from '../src/index.ts';

await using model = await Llava.load('models/demo');
const image = 'examples/images/apple.png';
const messages = [{ role: 'user', content: 'What is the main colour?', images: [image] }] as const;
for await (const event of model.generate(messages, { maxTokens: 64 })) {
  if (event.type === 'text-delta') process.stdout.write(event.text);
  else console.log(`\n(${event.reason} after ${event.usage.completionTokens} tokens)`);
}
