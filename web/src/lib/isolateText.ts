// Names inside a sentence. Whatever the direction of a name's script, the order of the sentence does not change. In markup, <bdi> does
// the same.

/** Wraps text in Unicode isolation marks, and removes its own direction marks, which could end the isolation. */
export function isolateText(text: string): string {
  return `\u2068${text.replace(/[\u202a-\u202e\u2066-\u2069]/g, "")}\u2069`;
}
