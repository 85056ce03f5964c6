/** @file GGUF bytes put together by hand, right or wrong as a test wants them. */

/** Little-endian integers, and text after its length. */
export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
export const u64 = (value: number | bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
export const text = (value: string | Buffer): Buffer => {
  const bytes = Buffer.from(value as string);
  return Buffer.concat([u64(bytes.length), bytes]);
};

/** A metadata entry: key, number of the type, bytes of the value. */
export const entry = (key: string | Buffer, type: number, ...value: Buffer[]): Buffer =>
  Buffer.concat([text(key), u32(type), ...value]);

/** A tensor's entry: dimensions as in the file, the fastest first. */
export const tensor = (
  name: string,
  dimensions: readonly (number | bigint)[],
  type: number,
  offset: number | bigint,
): Buffer => Buffer.concat([text(name), u32(dimensions.length), ...dimensions.map(u64), u32(type), u64(offset)]);

interface Parts {
  readonly magic?: number;
  readonly version?: number;
  readonly tensorCount?: number | bigint;
  readonly entryCount?: number | bigint;
  readonly entries?: readonly Buffer[];
  readonly tensors?: readonly Buffer[];
  readonly dataBytes?: number;
}

/** A whole file; counts are those of the lists unless given. */
export function ggufBytes(parts: Parts): Uint8Array {
  const { magic = 0x46554747, version = 3, entries = [], tensors = [], dataBytes = 0 } = parts;
  const { tensorCount = tensors.length, entryCount = entries.length } = parts;
  const head = Buffer.concat([u32(magic), u32(version), u64(tensorCount), u64(entryCount), ...entries, ...tensors]);
  const padding = (32 - (head.length % 32)) % 32;
  return Buffer.concat([head, Buffer.alloc(padding + dataBytes)]);
}
