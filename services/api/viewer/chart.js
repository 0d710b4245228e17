// The chart of lag over time: a line per group, from the moment the page
// opened. Values are read with the pointer or with the arrow keys.

import { svg } from './dom.js';
import { clockShort, compact } from './format.js';

const dashes = ['none', '7 4', '2 3', '9 3 2 3'];
const steps = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200].map((s) => s * 1000);
const shortest = 60_000;

/** colourOf is the class that gives the i-th group its colour. */
export const colourOf = (i) => `series-${i % 6}`;
export const dashOf = (i) => dashes[Math.floor(i / 6) % dashes.length];

export class LagChart {
  #series = [];
  #times = [];
  #at = null; // index into times while somebody reads, else null
  #box;
  #onRead;

  /** onRead gets the index of the reading that the person looks at, and
   * whether they chose it or it is just the last one. */
  constructor(box, onRead) {
    this.#box = box;
    this.#onRead = onRead;
    // It works as a slider: arrow keys move along the time, and the
    // value is spoken. Hence the role.
    this.#box.tabIndex = 0;
    this.#box.setAttribute('role', 'slider');
    this.#box.setAttribute('aria-label', 'Lag over time. Arrow keys move along the time.');
    this.#box.setAttribute('aria-orientation', 'horizontal');
    this.#box.addEventListener('pointermove', (event) => this.#point(event));
    this.#box.addEventListener('pointerdown', (event) => this.#point(event));
    this.#box.addEventListener('pointerleave', () => this.#move(null));
    this.#box.addEventListener('blur', () => this.#move(null));
    this.#box.addEventListener('keydown', (event) => {
      const last = this.#times.length - 1;
      const at = this.#at ?? last;
      const to = { ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, PageUp: at - 10, PageDown: at + 10, Home: 0, End: last }[event.key];
      if (event.key === 'Escape') this.#move(null);
      if (to === undefined || last < 0) return;
      event.preventDefault();
      this.#move(Math.min(last, Math.max(0, to)));
    });
    new ResizeObserver(() => this.#draw()).observe(box);
  }

  /** update takes the times of all readings, and per group its name, number
   * and a value (or null) for each of these times. */
  update(times, series) {
    this.#times = times;
    this.#series = series;
    if (this.#at !== null) this.#at = Math.min(this.#at, times.length - 1);
    this.#draw();
  }

  #point(event) {
    if (!this.#x || this.#times.length === 0) return;
    const x = event.clientX - this.#box.getBoundingClientRect().left;
    let best = 0;
    this.#times.forEach((t, i) => {
      if (Math.abs(this.#x(t) - x) < Math.abs(this.#x(this.#times[best]) - x)) best = i;
    });
    this.#move(best);
  }

  #move(at) {
    if (this.#at === at) return;
    this.#at = at;
    this.#draw();
  }

  #x = null;

  #draw() {
    const width = this.#box.clientWidth;
    const height = this.#box.clientHeight;
    if (width === 0) return;
    const times = this.#times;
    const from = times[0] ?? Date.now();
    const until = Math.max(from + shortest, times[times.length - 1] ?? 0);
    const most = Math.max(0, ...this.#series.flatMap((s) => s.values.filter((v) => v !== null)));
    const tick = niceStep(Math.max(most, 4) / (height > 180 ? 4 : 3));
    const top = Math.max(4, Math.ceil(most / tick) * tick);

    const labels = [];
    for (let v = 0; v <= top; v += tick) labels.push(v);
    const left = 14 + Math.max(...labels.map((v) => compact(v).length)) * 7.5 + 8;
    const [right, above, below] = [14, 10, 38];
    const x = (this.#x = (t) => left + ((t - from) / (until - from)) * (width - left - right));
    const y = (v) => above + (1 - v / top) * (height - above - below);

    const root = svg('svg', { width, height, viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true' });
    for (const v of labels) {
      root.append(svg('line', { class: v === 0 ? 'axis' : 'grid', x1: left, x2: width - right, y1: y(v), y2: y(v) }));
      root.append(text(left - 8, y(v) + 4, compact(v), 'end'));
    }
    const step = steps.find((s) => ((width - left - right) * s) / (until - from) > 100) ?? steps[steps.length - 1];
    const zone = new Date(from).getTimezoneOffset() * 60_000;
    for (let t = Math.ceil((from - zone) / step) * step + zone; t <= until; t += step) {
      if (x(t) > width - right - 20 || x(t) < left + 20) continue;
      root.append(svg('line', { class: 'axis', x1: x(t), x2: x(t), y1: y(0), y2: y(0) + 4 }));
      root.append(text(x(t), y(0) + 17, clockShort(new Date(t), step < 60_000), 'middle'));
    }
    root.append(text(left + (width - left - right) / 2, height - 3, 'local time', 'middle', 'axis-name'));
    const name = text(0, 0, 'records behind', 'middle', 'axis-name');
    name.setAttribute('transform', `translate(10 ${above + (height - above - below) / 2}) rotate(-90)`);
    root.append(name);

    for (const s of this.#series) {
      const runs = [[]];
      s.values.forEach((v, i) => {
        if (v === null) runs.push([]);
        else runs[runs.length - 1].push([x(times[i]), y(v)]);
      });
      for (const run of runs) {
        if (run.length === 0) continue;
        const points = run.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`).join(' ');
        root.append(svg('polyline', { class: `line ${colourOf(s.index)}`, points, 'stroke-dasharray': dashOf(s.index) }));
        const [ex, ey] = run[run.length - 1];
        root.append(svg('circle', { class: `point ${colourOf(s.index)}`, cx: ex, cy: ey, r: 3 }));
      }
    }

    if (this.#at !== null && times[this.#at] !== undefined) {
      const t = times[this.#at];
      root.append(svg('line', { class: 'cross', x1: x(t), x2: x(t), y1: above, y2: y(0) }));
      for (const s of this.#series) {
        const v = s.values[this.#at];
        if (v !== null && v !== undefined) root.append(svg('circle', { class: `point on ${colourOf(s.index)}`, cx: x(t), cy: y(v), r: 4.5 }));
      }
    }
    this.#box.replaceChildren(root);
    this.#tell();
  }

  #tell() {
    const last = this.#times.length - 1;
    const at = this.#at ?? last;
    this.#box.setAttribute('aria-valuemin', '0');
    this.#box.setAttribute('aria-valuemax', String(Math.max(0, last)));
    this.#box.setAttribute('aria-valuenow', String(Math.max(0, at)));
    const values = this.#series.map((s) => `${s.name} ${s.values[at] ?? 'unknown'}`);
    this.#box.setAttribute('aria-valuetext', last < 0 ? 'no reading yet' : `${clockShort(new Date(this.#times[at]))}: ${values.join(', ') || 'no group'}`);
    this.#onRead(at, this.#at !== null);
  }
}

function text(x, y, content, anchor, name = '') {
  return svg('text', { x, y, 'text-anchor': anchor, class: name }, content);
}

/** niceStep is the least of 1, 2, 5, 10, 20, … that is not below n. */
function niceStep(n) {
  const power = 10 ** Math.floor(Math.log10(Math.max(n, 1)));
  return [1, 2, 5, 10].map((f) => f * power).find((step) => step >= n) ?? power * 10;
}
