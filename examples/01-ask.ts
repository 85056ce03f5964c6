// Ask about an image. Run from the repository's root with Node 24 or newer: node examples/01-ask.ts
// In your own program: import { Llava } from 'llava-ts';
import { Llava } from '../src/index.ts';

await using model = await Llava.load('models/demo');
console.log(await model.ask('What is this?', { image: 'examples/images/apple.png' }));
