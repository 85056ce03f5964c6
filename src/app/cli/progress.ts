/** @file A progress bar on one line of a terminal; nothing at all where the output is not a terminal. */

import type { Io } from './commands.ts';

const BAR_WIDTH = 24;
/** Least time between two drawings, ms. */
const REDRAW_INTERVAL = 100;

/** Progress of one job of known length. */
export class ProgressBar implements Disposable {
  readonly #stream: Io['stderr'];
  readonly #label: string;
  readonly #total: number;
  readonly #start = performance.now();
  readonly #startCount: number;
  readonly #format: (count: number) => string;
  #drawn = Number.NEGATIVE_INFINITY;

  /**
   * @param startCount how much was done before: it does not count for the speed
   * @param format how counts are shown
   */
  constructor(
    stream: Io['stderr'],
    label: string,
    total: number,
    startCount = 0,
    format: (count: number) => string = String,
  ) {
    this.#stream = stream;
    this.#label = label;
    this.#total = total;
    this.#startCount = startCount;
    this.#format = format;
  }

  /** `count` of the total is done; `detail` is shown beside. */
  update(count: number, detail = ''): void {
    const now = performance.now();
    const last = count >= this.#total;
    if (!this.#stream.isTTY || (!last && now - this.#drawn < REDRAW_INTERVAL)) return;
    this.#drawn = now;
    const fraction = Math.min(count / this.#total, 1);
    const bar = '█'.repeat(Math.round(fraction * BAR_WIDTH)).padEnd(BAR_WIDTH, '░');
    const done = count - this.#startCount;
    const left = done > 0 ? formatDuration(((this.#total - count) * (now - this.#start)) / done / 1000) : '?';
    const counts = `${this.#format(count)}/${this.#format(this.#total)}`;
    this.#stream.write(`\r\x1b[K${this.#label} ${bar} ${counts} · ${left} left ${detail}`.trimEnd());
  }

  /** Ends the line, so that what is printed next has a line of its own. */
  [Symbol.dispose](): void {
    if (this.#stream.isTTY && Number.isFinite(this.#drawn)) this.#stream.write('\n');
  }
}

/** `14.1 GB`, `32 MB`, `5 kB`. */
export function formatBytes(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  if (bytes >= 1e6) return `${Math.round(bytes / 1e6)} MB`;
  return `${Math.ceil(bytes / 1e3)} kB`;
}

/** `4 s`, `3:07`, `2:03:07`. */
export function formatDuration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] === 0 ? parts.slice(1) : parts;
  return shown.map((part, i) => (i === 0 ? `${part}` : `${part}`.padStart(2, '0'))).join(':');
}
