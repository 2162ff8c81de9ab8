/** The Huffman tables of ITU-T T.81 annex K.3, as the payload of one DHT segment: DC, DC, AC, AC. */
export const STANDARD_HUFFMAN = Buffer.from(
  '0000010501010101010100000000000000000102030405060708090a0b010003010101010101010101000000000000010203' +
    '0405060708090a0b100002010303020403050504040000017d01020300041105122131410613516107227114328191a10823' +
    '42b1c11552d1f02433627282090a161718191a25262728292a3435363738393a434445464748494a535455565758595a6364' +
    '65666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2' +
    'c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa11000201020404030407050404' +
    '00010277000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f1171819' +
    '1a262728292a35363738393a434445464748494a535455565758595a636465666768696a737475767778797a828384858687' +
    '88898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3' +
    'e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa',
  'hex',
);

/** RFC 2435 appendix A: quantisation tables for Q = 50, in zigzag order. */
const LUMA = Buffer.from(
  '100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933' +
    '383740485c4e404457453738506d51575f626768673e4d71797064785c656763',
  'hex',
);
const CHROMA = Buffer.alloc(64, 99);
Buffer.from('1112121815182f1a1a2f63423842', 'hex').copy(CHROMA);

/** The two tables (luma, chroma; 128 bytes) that a Q of 1…99 stands for (RFC 2435 §4.2). */
export function quantTables(q: number): Buffer {
  const clamped = Math.min(99, Math.max(1, q));
  const scale = clamped < 50 ? Math.floor(5000 / clamped) : 200 - clamped * 2;
  const out = Buffer.alloc(128);
  for (let at = 0; at < 64; at++) {
    out[at] = Math.min(255, Math.max(1, Math.floor(((LUMA[at] ?? 0) * scale + 50) / 100)));
    out[64 + at] = Math.min(255, Math.max(1, Math.floor(((CHROMA[at] ?? 0) * scale + 50) / 100)));
  }
  return out;
}
