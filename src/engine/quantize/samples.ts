/** @file What a model reads while it is calibrated, where the user gives nothing else: a page of prose, and drawn pictures. */

import { f32Tensor, LlavaError, Rng, sizeOf } from '../../core/index.ts';
import { type ImageSource, type Processor, type RgbImage, readImage } from '../../processor/index.ts';
import type { ModelFolder } from '../model-folder.ts';
import { openProcessor } from '../open-processor.ts';
import type { CalibrationSample } from './layer-inputs.ts';

/** What a calibration reads. */
export interface SampleOptions {
  /** Default: a page of English prose, questions and answers. */
  readonly text?: string;
  /** Pictures for a LLaVA. Default: two that are drawn. */
  readonly images?: readonly ImageSource[];
}

/** Positions of a sample, and samples, at most. */
const POSITIONS = 512;
const SAMPLES = 8;

/** The samples that a model can read: text, and for a LLaVA a picture before each. */
export async function calibrationSamples(
  folder: ModelFolder,
  { text = PAGE, images }: SampleOptions = {},
): Promise<CalibrationSample[]> {
  const processor = openProcessor(folder);
  const tiles = processor.vision ? await firstTiles(processor, images ?? [drawnPicture(1), drawnPicture(2)]) : [];
  const room = Math.min(POSITIONS, folder.language.contextLength) - (tiles[0]?.rows ?? 0);
  const ids = processor.tokenizer.encode(text);
  const windows = Math.min(Math.ceil(ids.length / room), SAMPLES);
  const size = Math.floor(Math.min(ids.length, windows * room) / windows);
  if (!(room > 0 && size > 0)) {
    throw new LlavaError(
      `calibration: expected a text and room for it, got ${ids.length} tokens for ${room} positions`,
    );
  }
  return Array.from({ length: Math.max(windows, Math.min(tiles.length, SAMPLES)) }, (_, i) => {
    const words = ids.slice((i % windows) * size, ((i % windows) + 1) * size);
    const image = tiles[i % tiles.length];
    return image ? { ids: [...Array<number>(image.rows).fill(-1), ...words], tile: image.tile } : { ids: words };
  });
}

async function firstTiles(processor: Processor, images: readonly ImageSource[]) {
  return await Promise.all(
    images.map(async image => {
      const { pixels, layout } = await readImage(processor, image);
      const shape = [1, ...pixels.shape.slice(1)];
      return {
        tile: f32Tensor(shape, (pixels.data as Float32Array).slice(0, sizeOf(shape))),
        rows: layout.featuresPerTile,
      };
    }),
  );
}

const SIDE = 336;

/** Discs of all sizes and colours on a slope of colour, with a little noise. */
export function drawnPicture(seed: number): RgbImage {
  const rng = new Rng(seed);
  const colour = (): number[] => [rng.int(256), rng.int(256), rng.int(256)];
  const discs = Array.from({ length: 24 }, () => ({
    ...{ x: rng.int(SIDE), y: rng.int(SIDE), radius: 4 + rng.int(SIDE / 4) },
    colour: colour(),
  }));
  const [from, to] = [colour(), colour()];
  const data = new Uint8Array(SIDE * SIDE * 3);
  for (let i = 0; i < SIDE * SIDE; i++) {
    const [x, y] = [i % SIDE, Math.floor(i / SIDE)];
    const disc = discs.findLast(each => (x - each.x) ** 2 + (y - each.y) ** 2 < each.radius ** 2);
    for (let channel = 0; channel < 3; channel++) {
      const slope = from[channel]! + ((to[channel]! - from[channel]!) * y) / SIDE;
      data[3 * i + channel] = Math.max(0, Math.min(255, (disc?.colour[channel] ?? slope) + 6 * rng.normal()));
    }
  }
  return { width: SIDE, height: SIDE, data };
}

const PAGE = `The harbour lies on the north side of the bay. In the morning the boats come back with herring, mackerel and now and then a
few crabs, and before eight o'clock the women from the market have bought nearly everything. "You should have been here
yesterday," said the old man, "when the wind turned and nobody could get out at all." He laughed, folded his newspaper and
walked slowly up the hill.

Question: What is shown in the picture, and how many people are there?
Answer: The picture shows a busy street in a city. There are five people: two women waiting at a crossing, a man on a red
bicycle, and a child who holds her father's hand. On the left is a bakery with a green awning; behind it stands a church.

Water boils at 100 degrees Celsius at sea level, but on a mountain of 3,000 metres it boils at about 90. That is because the
pressure of the air is lower there: fewer molecules push down on the surface, so that less energy is needed to escape from
it. The same holds for other liquids, although the numbers differ.

To make bread you need 500 g of flour, 10 g of salt, 7 g of yeast and 320 ml of lukewarm water. Mix the dry ingredients, add
the water, and knead for ten minutes. Let the dough rest until it has doubled in size, then shape a loaf and bake it at 220 °C
for 35 minutes.

1. Open the file and read its first line.
2. If the line is empty, print "nothing to do" and stop.
3. Otherwise split it at each comma:

def fields(line):
    return [part.strip() for part in line.split(",") if part]

The treaty of 1648 ended thirty years of war in Europe. Historians still argue about its meaning: some see in it the beginning
of the modern system of states, others a compromise that merely confirmed what had long been the case. In 2021 the economy
grew by 5.7 percent, after it had shrunk in the year before; unemployment fell to 3.9 percent.

USER: Can you tell me a short story about a fox?
ASSISTANT: Once upon a time there was a young fox who was afraid of the dark. Every evening he asked his mother to leave the
entrance of the den open, so that he could see the moon. One night the moon did not come. The little fox waited, and then he
saw the stars, one after another, and counted them until he fell asleep.

Dear Ms. Alvarez, thank you for your letter of 12 March. We are sorry that the lamp arrived broken. A new one will be sent to
you within the next five days, free of charge; please keep the old one until our driver collects it. Yours sincerely.
`;
