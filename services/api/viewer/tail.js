// The live tail: one event stream, kept open, with what arrives handed over in
// small batches so that a busy topic costs a few updates a second.

import { absolute, get, Problem } from './api.js';

const handOver = 200; // ms
const held = 1000; // records kept between two batches, or while paused
const patience = [1, 2, 4, 8, 15]; // seconds until the next try

export class Tail {
  #source = null;
  #buffer = [];
  #timers = new Set();
  #attempt = 0;
  #counts = []; // arrivals in each of the last sixty seconds, newest last
  #second = 0;

  state = 'off'; // off, connecting, live, waiting (to connect again)
  paused = false;
  received = 0;
  skipped = 0; // arrived, but more than the page takes
  retryAt = 0;

  /** onRecords gets a batch, in order of arrival; onOpen comes with every
   * (re)connection; onChange with every change of state and every second;
   * onGap with the name and content of an event that stands for no record;
   * onRefused with the Problem of a stream that is no use to ask for again. */
  constructor({ onRecords, onGap, onOpen, onChange, onRefused }) {
    this.on = { records: onRecords, gap: onGap, open: onOpen, change: onChange, refused: onRefused };
  }

  start(path, probePath) {
    this.stop();
    this.path = path;
    this.probePath = probePath;
    this.received = 0;
    this.skipped = 0;
    this.#counts = new Array(60).fill(0);
    this.#second = Math.floor(Date.now() / 1000);
    this.#every(1000, () => {
      this.#roll();
      this.on.change();
    });
    this.#every(handOver, () => this.#flush());
    this.#connect();
  }

  stop() {
    this.#source?.close();
    this.#source = null;
    for (const timer of this.#timers) clearInterval(timer);
    this.#timers.clear();
    this.#buffer = [];
    this.#attempt = 0;
    this.paused = false;
    this.#become('off');
  }

  pause(paused) {
    this.paused = paused;
    this.#flush();
    this.on.change();
  }

  get waiting() {
    return this.#buffer.length;
  }

  /** perSecond is the mean over the last five full seconds. */
  get perSecond() {
    const full = this.#counts.slice(-6, -1);
    return full.reduce((sum, n) => sum + n, 0) / full.length;
  }

  get history() {
    return this.#counts;
  }

  #connect() {
    this.#become('connecting');
    const source = new EventSource(absolute(this.path));
    this.#source = source;
    source.addEventListener('open', () => {
      this.#attempt = 0;
      this.#become('live');
      this.on.open();
    });
    source.addEventListener('message', (event) => this.#take(event.data));
    for (const name of ['unreadable', 'reset']) {
      source.addEventListener(name, (event) => {
        this.#flush(true); // in their order
        this.on.gap(name, JSON.parse(event.data));
      });
    }
    source.addEventListener('error', () => {
      if (source !== this.#source) return;
      // After a broken connection the browser connects again by itself and
      // says where it stopped; after an error answer it gives up.
      if (source.readyState === EventSource.CLOSED) this.#retry();
      else this.#become('connecting');
    });
  }

  #retry() {
    const wait = patience[Math.min(this.#attempt++, patience.length - 1)] * 1000;
    this.retryAt = Date.now() + wait;
    this.#become('waiting');
    const timer = setTimeout(async () => {
      this.#timers.delete(timer);
      const source = this.#source;
      try {
        // An event stream does not say why it is refused; an ordinary request does.
        await get(this.probePath);
      } catch (fault) {
        if (source !== this.#source) return;
        if (fault instanceof Problem && !fault.passes) {
          this.stop();
          this.on.refused(fault);
        } else {
          this.#retry();
        }
        return;
      }
      if (source === this.#source) this.#connect();
    }, wait);
    this.#timers.add(timer);
  }

  #take(data) {
    let raw;
    try {
      raw = JSON.parse(data);
    } catch {
      return;
    }
    this.received++;
    this.#roll();
    this.#counts[this.#counts.length - 1]++;
    this.#buffer.push(raw);
    if (this.#buffer.length > held) {
      this.#buffer.shift();
      this.skipped++;
    }
  }

  #flush(anyway = false) {
    if ((this.paused && !anyway) || this.#buffer.length === 0) return;
    const batch = this.#buffer;
    this.#buffer = [];
    this.on.records(batch);
  }

  #roll() {
    const now = Math.floor(Date.now() / 1000);
    for (; this.#second < now; this.#second++) {
      this.#counts.push(0);
      this.#counts.shift();
    }
  }

  #become(state) {
    this.state = state;
    this.on.change();
  }

  #every(ms, work) {
    this.#timers.add(setInterval(work, ms));
  }
}
