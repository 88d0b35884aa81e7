/** The smallest TIFF 6.0 file of 32-bit floats: one strip, little-endian, no compression. */
export function floatTiff(width: number, height: number, values: readonly number[]): Buffer {
  const tags: [tag: number, type: 3 | 4, value: number][] = [
    [256, 4, width],
    [257, 4, height],
    [258, 3, 32],
    [259, 3, 1],
    [262, 3, 1],
    [273, 4, 0],
    [277, 3, 1],
    [278, 4, height],
    [279, 4, width * height * 4],
    [339, 3, 3],
  ];
  const start = 8 + 2 + tags.length * 12 + 4;
  const bytes = Buffer.alloc(start + width * height * 4);
  bytes.write("II");
  bytes.writeUInt16LE(42, 2);
  bytes.writeUInt32LE(8, 4);
  bytes.writeUInt16LE(tags.length, 8);
  for (const [i, [tag, type, value]] of tags.entries()) {
    const at = 10 + 12 * i;
    bytes.writeUInt16LE(tag, at);
    bytes.writeUInt16LE(type, at + 2);
    bytes.writeUInt32LE(1, at + 4);
    bytes.writeUInt32LE(tag === 273 ? start : value, at + 8);
  }
  for (const [i, value] of values.entries()) bytes.writeFloatLE(value, start + 4 * i);
  return bytes;
}
