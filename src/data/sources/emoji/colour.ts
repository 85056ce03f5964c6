/** @file Names of colours, and the main colour of a drawing as its pixels show it. */

/** The answers to "What is the main colour?". */
export const COLOURS = [
  'red',
  'orange',
  'yellow',
  'green',
  'blue',
  'purple',
  'pink',
  'brown',
  'grey',
  'black',
  'white',
] as const;

/** One of {@link COLOURS}. */
export type Colour = (typeof COLOURS)[number];

/** The name most people would give a colour; channels 0 to 255. Bounds set by eye on the palettes of the styles. */
export function colourName(red: number, green: number, blue: number): Colour {
  const max = Math.max(red, green, blue);
  const chroma = max - Math.min(red, green, blue);
  const lightness = 0.3 * red + 0.59 * green + 0.11 * blue;
  if (chroma < 28 || (chroma < 50 && max < 90)) return lightness > 212 ? 'white' : lightness > 85 ? 'grey' : 'black';
  const hue = hueOf(red, green, blue, max, chroma);
  const saturation = chroma / max;
  if (hue < 16 || hue >= 340) return warmRed(hue, saturation, max);
  if (hue < 45) return orangeBrown(hue, saturation, max);
  if (hue < 66) return max < 120 ? 'brown' : 'yellow';
  if (hue < 170) return 'green';
  if (hue < 255) return 'blue';
  if (hue < 300) return 'purple';
  return max > 190 ? 'pink' : 'purple';
}

/** Degrees: 0 red, 120 green, 240 blue. */
function hueOf(red: number, green: number, blue: number, max: number, chroma: number): number {
  if (max === red) return (60 * ((green - blue) / chroma) + 360) % 360;
  if (max === green) return 60 * ((blue - red) / chroma) + 120;
  return 60 * ((red - green) / chroma) + 240;
}

function warmRed(hue: number, saturation: number, max: number): Colour {
  if (max > 215 && saturation < 0.62) return hue < 16 && hue > 8 && saturation > 0.4 ? 'orange' : 'pink';
  const dull = max < 150 || (hue > 8 && saturation < 0.66);
  return dull && hue < 340 ? 'brown' : 'red';
}

function orangeBrown(hue: number, saturation: number, max: number): Colour {
  if (max < 195 || (max < 225 && saturation < 0.5)) return 'brown';
  if (hue >= 38 && saturation > 0.4) return 'yellow';
  return saturation < 0.35 ? 'white' : 'orange';
}

/** Share of the painted pixels that the main colour must have to be asked about. */
const CLEAR_SHARE = 0.6;
/** Below this share, black is taken for outlines and pupils and left out of the count. */
const OUTLINE_SHARE = 0.7;

/**
 * The colour of most painted pixels, outlines left out; undefined when no colour has a clear majority.
 * @param data RGBA bytes, straight alpha.
 */
export function mainColour(data: Uint8Array): Colour | undefined {
  const counts = new Map<Colour, number>();
  let painted = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3]! < 160) continue;
    const name = colourName(data[i]!, data[i + 1]!, data[i + 2]!);
    counts.set(name, (counts.get(name) ?? 0) + 1);
    painted++;
  }
  const black = counts.get('black') ?? 0;
  if (painted === 0 || black > OUTLINE_SHARE * painted) return painted === 0 ? undefined : 'black';
  counts.delete('black');
  const [best, count] = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a), ['black' as Colour, 0]);
  return count >= CLEAR_SHARE * (painted - black) && count > black ? best : undefined;
}
