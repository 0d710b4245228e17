// The page fetches itself and takes over what has changed: the server makes all of it, so
// that there is one description of what a state means, and none of it is here.

import { absolute } from '/viewer/api.js';
import { byId, setText } from '/viewer/dom.js';
import { startThemeButton } from '/viewer/themes.js';

const every = 2000;
const hiddenEvery = 30_000; // a tab that nobody looks at asks less often
const patience = 10_000;

let timer;
let running = false;

async function refresh() {
  if (running) return;
  running = true;
  clearTimeout(timer);
  try {
    const response = await fetch(absolute('/system'), { cache: 'no-store', signal: AbortSignal.timeout(patience) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    take(new DOMParser().parseFromString(await response.text(), 'text/html'));
    drawFresh(true);
  } catch {
    drawFresh(false);
  }
  running = false;
  timer = setTimeout(refresh, document.hidden ? hiddenEvery : every);
}

/** drawFresh says whether what is shown is of now. */
function drawFresh(fresh) {
  byId('fresh').dataset.state = fresh ? 'up' : 'down';
  byId('stale').hidden = fresh;
  setText(byId('stale'), fresh ? '' : `api does not answer: what is shown is ${byId('fresh-text').textContent}.`);
}

/** take takes over what is live from a newer page. Elements stay the same, so that the
 * focus does too. */
function take(next) {
  for (const node of next.querySelectorAll('[data-live]')) {
    const old = byId(node.id);
    if (!old) {
      location.reload(); // a newer release, whose page has other parts
      return;
    }
    for (const name of ['state', 'moves', 'alarm']) {
      if (old.dataset[name] !== node.dataset[name]) old.dataset[name] = node.dataset[name];
    }
    if (node.dataset.live === 'content') {
      if (old.textContent !== node.textContent) old.replaceChildren(...node.childNodes);
    } else if (node.dataset.live !== 'state') {
      setText(old, node.textContent);
    }
  }
  setText(byId('fresh-text'), next.getElementById('fresh-text').textContent);
}

document.addEventListener('visibilitychange', () => {
  if (!document.hidden) refresh();
});
startThemeButton(byId('theme'));
timer = setTimeout(refresh, every);
