/**
 * Parameter sets of an SDP attribute: base64, separated by commas. Tolerates spaces, empty items, missing padding, and a
 * start code in front (some cameras encode it along).
 */
export function forEachSprop(text: string | undefined, visit: (nal: Buffer) => void): void {
  if (text === undefined) return;
  for (const item of text.split(',').slice(0, 16)) {
    let nal = Buffer.from(item.trim(), 'base64');
    while (nal.length > 4 && nal[0] === 0 && nal[1] === 0 && (nal[2] ?? 0) <= 1) {
      nal = nal.subarray(nal[2] === 1 ? 3 : 1);
    }
    // The last byte of a parameter set holds the stop bit, so zeros at the end are padding (Dahua).
    let end = nal.length;
    while (end > 0 && nal[end - 1] === 0) end--;
    if (end > 0) visit(nal.subarray(0, end));
  }
}
