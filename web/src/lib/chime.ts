// Plays two quiet notes when the buyer's turn comes; they are synthesized, not downloaded. A browser allows sound only after the
// buyer has touched the page, such as by joining the line; until then nothing is played.

let audio: AudioContext | null = null;

/** Must run inside the handler of a click or a key. */
export function unlockChime(): void {
  try {
    audio ??= new AudioContext();
    void audio.resume();
  } catch {
    // This browser has no sound.
  }
}

export function playChime(): void {
  if (audio === null || audio.state !== "running") return;
  for (const [pitchHz, atS] of [
    [659.3, 0],
    [880, 0.18],
  ] as const) {
    const tone = audio.createOscillator();
    const volume = audio.createGain();
    const start = audio.currentTime + atS;
    tone.frequency.value = pitchHz;
    volume.gain.setValueAtTime(0.0001, start);
    volume.gain.exponentialRampToValueAtTime(0.2, start + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.0001, start + 0.7);
    tone.connect(volume).connect(audio.destination);
    tone.start(start);
    tone.stop(start + 0.75);
  }
}
