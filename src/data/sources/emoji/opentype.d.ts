/** The part of opentype.js that is used: the package brings no types. */
declare module 'opentype.js/dist/opentype.mjs' {
  /** A parsed font. */
  export interface Font {
    readonly unitsPerEm: number;
    readonly ascender: number;
    readonly descender: number;
    charToGlyph(text: string): Glyph;
  }
  export interface Glyph {
    /** 0 for a character that the font does not have. */
    readonly index: number;
    readonly advanceWidth?: number;
    getPath(x: number, y: number, size: number): { toPathData(decimals: number): string };
  }
  export function parse(buffer: ArrayBuffer): Font;
}
