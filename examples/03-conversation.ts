// A conversation reads the image and what was said before only once.
import { Llava } from '../src/index.ts';

await using model = await Llava.load('models/demo');
using chat = model.chat();
console.log(await chat.ask('What is this?', { image: 'examples/images/apple.png' }));
const { text, usage } = await chat.answer('What is the main colour?');
console.log(text, `(${usage.cachedTokens} of ${usage.promptTokens} positions were known)`);
