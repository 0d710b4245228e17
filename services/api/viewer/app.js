// The page as a whole: its address, its state of health, its keys.
//
// Everything to see is in the address after the #, so that a link to it, or
// the browser's back button, leads to the same place:
//   #topic=orders&partition=2&limit=100&q=laptop&range=5m&live=1
//   #topic=orders&partition=2&offset=4711    or &time=2026-11-25T14:03, or &search=laptop
//   #view=groups    or brokers, or config&topic=orders

import { get, Problem } from './api.js';
import { Brokers } from './brokers.js';
import { TopicConfig } from './config.js';
import { byId, remember, setText } from './dom.js';
import { Groups } from './groups.js';
import { Messages } from './messages.js';
import { startThemeButton } from './themes.js';
import { defaultLimit } from './toolbar.js';
import { Topics } from './topics.js';

const pollEvery = 5000;
const hiddenEvery = 30_000; // a tab that nobody looks at asks less often
const patience = [2, 3, 5, 8, 13]; // seconds until the next try while something is down
const views = ['topics', 'messages', 'groups', 'brokers', 'config'];
const narrow = matchMedia('(max-width: 899px)');

// ---- the address

function readRoute() {
  const query = new URLSearchParams(location.hash.slice(1));
  const whole = (name, low, high) => {
    const text = query.get(name);
    const n = Number(text);
    return text !== null && text !== '' && Number.isInteger(n) && n >= low && n <= high ? n : null;
  };
  const topic = query.get('topic');
  let view = query.get('view');
  if (!views.includes(view)) view = topic || !narrow.matches ? 'messages' : 'topics';
  return {
    view,
    topic,
    partition: whole('partition', 0, 2 ** 31 - 1),
    limit: whole('limit', 1, 1000) ?? defaultLimit,
    search: query.get('search') ?? '',
    offset: /^\d{1,19}$/.test(query.get('offset')) ? query.get('offset') : '',
    time: Number.isNaN(Date.parse(query.get('time') ?? '')) ? '' : query.get('time'),
    text: query.get('q') ?? '',
    range: ['1m', '5m', '15m', '1h', '24h', 'custom'].includes(query.get('range')) ? query.get('range') : '',
    from: query.get('from') ?? '',
    to: query.get('to') ?? '',
    live: query.get('live') === '1',
  };
}

function hashOf(route) {
  const query = new URLSearchParams();
  if (route.view !== 'messages' || !route.topic) query.set('view', route.view);
  if (route.topic) query.set('topic', route.topic);
  if (route.partition !== null) query.set('partition', route.partition);
  if (route.limit !== defaultLimit) query.set('limit', route.limit);
  for (const name of ['search', 'offset', 'time']) if (route[name]) query.set(name, route[name]);
  if (route.text) query.set('q', route.text);
  if (route.range) query.set('range', route.range);
  if (route.range === 'custom' && route.from) query.set('from', route.from);
  if (route.range === 'custom' && route.to) query.set('to', route.to);
  if (route.live) query.set('live', '1');
  return `#${query}`;
}

let route = readRoute();

/** go changes the address, and with it what is shown. What a person types
 * replaces the entry in the history; what they choose adds one. */
function go(changes, replace = false) {
  const hash = hashOf({ ...route, ...changes });
  if (hash === location.hash) return;
  history[replace ? 'replaceState' : 'pushState'](null, '', hash);
  render();
}

/** linkTo is the address of a topic or a partition. What was filtered belongs
 * to the records that were there, so it stays within the topic only. */
function linkTo(topic, partition) {
  const same = topic === route.topic;
  return hashOf({ view: 'messages', topic, partition, limit: route.limit, search: same ? route.search : '', text: same ? route.text : '', range: same ? route.range : '', from: route.from, to: route.to, live: same && route.live });
}

// ---- the parts

const topics = new Topics(linkTo);
const groups = new Groups(linkTo);
const brokers = new Brokers();
const config = new TopicConfig();
const messages = new Messages({
  // The next poll shows whether Kafka is down: do it now.
  onProblem: (problem) => {
    if (problem.passes || problem.status === 401) poll();
  },
  onFilter: (filter) => go(filter, true),
  // Live shows the newest and all new ones, from no other offset or time.
  onLive: (live) => go(live ? { live, search: '', offset: '', time: '' } : { live }, true),
  onSeek: (place) => go({ offset: '', time: '', live: false, ...place }),
});

function render() {
  const before = route;
  route = readRoute();
  if (!route.topic && topics.fallback && ['messages', 'config'].includes(route.view)) route.topic = topics.fallback;
  // The groups and the list of topics keep the open topic in their address.
  if (!route.topic && route.view !== 'messages') route = { ...before, view: route.view, live: false };
  document.body.dataset.view = route.view;
  for (const view of ['groups', 'brokers', 'config']) byId(`view-${view}`).hidden = route.view !== view;
  byId('view-messages').hidden = !inMessages();
  byId('config-open').hidden = !route.topic;
  byId('config-open').href = hashOf({ ...route, view: 'config', live: false });
  for (const view of views) {
    const tab = byId(`tab-${view}`);
    if (!tab) continue; // a topic's configuration opens from the topic
    tab.href = hashOf({ ...route, view, live: view === 'messages' && route.live });
    // On a wide screen the topics are beside the messages, not a tab.
    const current = view === route.view || (view === 'messages' && route.view === 'topics' && !narrow.matches);
    if (current) tab.setAttribute('aria-current', 'page');
    else tab.removeAttribute('aria-current');
  }
  // Alone on a narrow screen, the list of topics is the content.
  const alone = narrow.matches && route.view === 'topics';
  byId('topics').setAttribute('role', alone ? 'main' : 'navigation');
  if (alone) byId('topics-title').setAttribute('aria-level', '1');
  else byId('topics-title').removeAttribute('aria-level');
  const titles = { groups: 'Consumer groups', brokers: 'Brokers', config: `Configuration of ${route.topic}` };
  document.title = `${titles[route.view] ?? (route.topic || 'Topics')} · shopstream`;
  topics.open(route);
  if (route.topic) {
    const { topic, partition, limit, search, offset, time, text, range, from, to } = route;
    messages.show({ topic, partition, limit, search, offset, time }, { text, range, from, to }, route.live);
  }
  if (route.view === 'config' && route.topic) config.show(route.topic);
  if (route.view === 'brokers' && before.view !== 'brokers') poll();
  if (before.view !== route.view && narrow.matches) scrollTo(0, 0);
}

const inMessages = () => route.view === 'messages' || route.view === 'topics';

// ---- health: one poll for everything that changes, one banner for what is down

let down = null; // the Problem of the whole page, or null
let attempt = 0;
let timer;
let polling = false;
let retryAt = 0;

async function poll() {
  if (polling) return;
  polling = true;
  clearTimeout(timer);
  const wanted = ['/-/ready', '/topics', '/groups'];
  if (route.view === 'brokers') wanted.push('/brokers'); // one request to each broker: only while they are shown
  const [ready, list, lags, nodes] = await Promise.allSettled(wanted.map((path) => get(path)));
  polling = false;
  drawKafka(ready);
  if (lags.status === 'fulfilled') {
    groups.update(lags.value.body);
    topics.setGroups(lags.value.body);
  } else {
    groups.failed(problemOf(lags.reason));
  }
  if (nodes?.status === 'fulfilled') brokers.update(nodes.value.body);
  else if (nodes) brokers.failed(problemOf(nodes.reason));
  if (list.status === 'rejected') {
    failed(problemOf(list.reason), ready);
    return;
  }
  topics.update(list.value.body);
  const was = down;
  down = null;
  attempt = 0;
  byId('banner').hidden = true;
  if (!route.topic) {
    if (topics.fallback) render();
    else messages.idle(null);
  }
  if (was) messages.recovered();
  timer = setTimeout(poll, document.hidden ? hiddenEvery : pollEvery);
}

const problemOf = (fault) => {
  if (fault instanceof Problem) return fault;
  throw fault;
};

/** failed shows what is wrong with the whole, and tries again by itself. */
function failed(problem, ready) {
  const wait = patience[Math.min(attempt, patience.length - 1)] * 1000;
  attempt++;
  down = problem;
  retryAt = Date.now() + wait;
  const busy = ready.status === 'fulfilled' && ready.value.body.kafka === 'up';
  const title =
    { 0: 'The service does not answer', 401: 'The service requires its API token', 503: busy ? 'The service cannot answer' : 'Kafka is down' }[problem.status] ??
    `The service answers with an error (${problem.status})`;
  const state = problem.status === 503 ? kafkaState(ready) : '';
  const hint = problem.status === 401 ? 'Reload this page and give the token as the password; any user name will do.' : problem.text;
  byId('banner').hidden = false;
  setText(byId('banner-text'), state ? `${title} (${state}).` : `${title}. ${hint}`);
  if (problem.status === 0) drawState('down', 'No connection');
  else if (problem.status === 503 && !busy) drawState('down', 'Kafka down', kafkaState(ready));
  drawCountdown();
  topics.failed();
  messages.idle(problem);
  timer = setTimeout(poll, wait);
}

/** kafkaState is what the service's readiness says of Kafka when it is down. */
function kafkaState(ready) {
  const state = ready.status === 'fulfilled' ? ready.value.body.kafka : '';
  return typeof state === 'string' && state.startsWith('down') ? state.replace(/^down:?\s*/, '') : '';
}

function drawKafka(ready) {
  if (ready.status === 'rejected') return;
  const { status, kafka } = ready.value.body;
  if (status === 'draining') drawState('warn', 'Service is stopping');
  else if (kafka === 'up') drawState('up', 'Kafka up');
  else drawState('down', 'Kafka down', kafkaState(ready));
}

function drawState(state, text, title = '') {
  byId('kafka').dataset.state = state;
  byId('kafka').title = title;
  setText(byId('kafka-text'), text);
}

function drawCountdown() {
  if (byId('banner').hidden) return;
  const left = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
  setText(byId('banner-countdown'), left > 0 ? `Next try in ${left} s` : 'Trying …');
}

setInterval(drawCountdown, 250);
byId('banner-retry').addEventListener('click', () => {
  retryAt = 0;
  drawCountdown();
  poll();
});
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && !down) poll();
});

// ---- keys

const help = byId('help');
byId('help-open').addEventListener('click', () => help.showModal());
byId('shortcuts').checked = remember.get('shortcuts') !== 'off';
byId('shortcuts').addEventListener('change', (event) => remember.set('shortcuts', event.target.checked ? null : 'off'));

const keys = {
  '/': () => onMessages(() => messages.focusFilter()),
  j: () => onMessages(() => messages.rows.step(1)),
  k: () => onMessages(() => messages.rows.step(-1)),
  ArrowDown: () => onMessages(() => messages.rows.step(1)),
  ArrowUp: () => onMessages(() => messages.rows.step(-1)),
  Enter: () => onMessages(() => messages.rows.toggleCurrent()),
  c: () => onMessages(() => messages.rows.copyCurrent()),
  l: () => onMessages(() => messages.toggleLive()),
  p: () => onMessages(() => messages.togglePause()),
  r: () => onMessages(() => messages.load()),
  o: () => onMessages(() => messages.older()),
  n: () => onMessages(() => byId('newer').hidden || messages.newer()),
  s: () => onMessages(() => messages.search()),
  m: () => go({ view: 'messages' }),
  g: () => go({ view: 'groups', live: false }),
  b: () => go({ view: 'brokers', live: false }),
  '?': () => help.showModal(),
};

function onMessages(work) {
  if (!inMessages()) return false;
  work();
  return true;
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || help.open) return;
  const target = event.target;
  const writes = target.matches('input:not([type=checkbox]), textarea, select');
  if (event.key === 'Escape' && target === byId('filter')) {
    // Clears this field only; the other filters stay.
    event.preventDefault();
    if (target.value) {
      target.value = '';
      target.dispatchEvent(new Event('input')); // in turn with what was typed before
    } else {
      target.blur();
    }
    return;
  }
  if (writes) return;
  if (event.key.length === 1 && !byId('shortcuts').checked) return;
  const arrow = event.key === 'ArrowDown' || event.key === 'ArrowUp';
  // Arrows and Enter keep their usual meaning wherever something has the focus,
  // except on a row or if nothing has it.
  const onRow = target.closest('tr.row') !== null;
  if (arrow && !onRow) return;
  if (event.key === 'Enter' && target !== document.body && target !== byId('main')) return;
  if (keys[event.key]?.() !== false && keys[event.key]) event.preventDefault();
});

// ---- start

byId('groups-every').textContent = `${pollEvery / 1000} s`;
byId('limit').addEventListener('change', (event) => go({ limit: Number(event.target.value) }));
addEventListener('hashchange', render);
// The link's # would be taken for an address of the page.
byId('skip').addEventListener('click', (event) => {
  event.preventDefault();
  (byId('topics').role === 'main' ? byId('topics') : byId('main')).focus();
});
narrow.addEventListener('change', render);
startThemeButton(byId('theme'));
render();
poll();
