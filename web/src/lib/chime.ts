// Two quiet notes when it is the buyer's turn, made here and not loaded. Browsers allow it after a touch of the page, such
// as joining the line; where they do not, nothing happens.

let audio: AudioContext | null = null;

/** To be called while a button is being pressed. */
export function allowChime(): void {
  try {
    audio ??= new AudioContext();
    void audio.resume();
  } catch {
    // A browser without sound.
  }
}

export function chime(): void {
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
