// The strip above the records while the page is live.

import { byId, setText, svg } from './dom.js';
import { number, plural, rate } from './format.js';

let announced = 0;

/** drawLive shows how a tail fares. kept is how many records the page holds at
 * most, where older ones have made way. */
export function drawLive(tail, kept) {
  const on = tail.state !== 'off';
  byId('live').setAttribute('aria-pressed', String(on));
  byId('live-strip').hidden = !on;
  if (!on) return;
  const state = tail.paused ? 'paused' : tail.state;
  byId('live-state').dataset.state = { live: 'up', paused: 'warn', connecting: 'unknown', waiting: 'down' }[state];
  setText(byId('live-text'), { live: 'Live', paused: 'Paused', connecting: 'Connecting …', waiting: `Connection lost, again in ${Math.max(0, Math.ceil((tail.retryAt - Date.now()) / 1000))} s` }[state]);
  setText(byId('live-rate'), `${rate(tail.perSecond)}/s`);
  const notes = [plural(tail.received, 'record')];
  if (tail.paused && tail.waiting > 0) notes.push(`${number(tail.waiting)} waiting`);
  if (tail.skipped > 0) notes.push(`${number(tail.skipped)} not shown`);
  if (kept) notes.push(`the newest ${number(kept)} are kept`);
  setText(byId('live-note'), notes.join(' · '));
  setText(byId('pause'), tail.paused ? 'Resume' : 'Pause');
  drawSpark(tail.history);
  // Announced only now and then: a count that changes every second is noise.
  if (Date.now() - announced > 15_000) {
    announced = Date.now();
    setText(byId('live-announce'), `${state === 'live' ? 'Live' : state}: ${plural(tail.received, 'record')} so far, ${rate(tail.perSecond)} per second`);
  }
}

function drawSpark(history) {
  const most = Math.max(4, ...history);
  const width = 120 / history.length;
  byId('live-spark').replaceChildren(
    ...history.flatMap((n, i) => (n === 0 ? [] : [svg('rect', { x: (i * width).toFixed(2), width: (width * 0.75).toFixed(2), y: (20 - (n / most) * 20).toFixed(2), height: ((n / most) * 20).toFixed(2) })])),
  );
}
