/**
 * @file The byte alphabet of GPT-2: each byte as one printable character, so that BPE over bytes can be written as BPE
 * over text. Printable Latin-1 characters stand for themselves, the other 68 bytes for U+0100 onwards, in order.
 */

/** Character of each byte. */
export const BYTE_CHARS: readonly string[] = byteChars();

/** Byte of each character of the alphabet. */
export const CHAR_BYTES: ReadonlyMap<string, number> = new Map(BYTE_CHARS.map((char, byte) => [char, byte]));

function byteChars(): string[] {
  let next = 0x100;
  const printable = (byte: number): boolean => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
}

const encoder = new TextEncoder();

/** The UTF-8 bytes of `text`, each as its character. */
export function toByteChars(text: string): string {
  let out = '';
  for (const byte of encoder.encode(text)) out += BYTE_CHARS[byte];
  return out;
}

/** The bytes that a token stands for; a token with characters outside the alphabet stands for its own UTF-8. */
export function tokenBytes(token: string): Uint8Array {
  const chars = Array.from(token, char => CHAR_BYTES.get(char));
  return chars.includes(undefined) ? encoder.encode(token) : Uint8Array.from(chars as number[]);
}
