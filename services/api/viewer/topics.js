// The list of topics, and the head of the one that is open.

import { byId, el, remember, setText, svg } from './dom.js';
import { atMost, compact, number, plural, rate } from './format.js';

const manyTopics = 9; // from here on a field to find one pays
const rateWindow = 30_000;

export class Topics {
  #topics = null; // null until first read
  #history = new Map(); // name → [{ at, end }]: what was written lately
  #route = null;
  #link = null;
  #groups = [];
  #internal = remember.get('internal') === 'on';

  /** link gives the address of a topic or of one of its partitions. */
  constructor(link) {
    this.#link = link;
    byId('internal').checked = this.#internal;
    byId('internal').addEventListener('change', (event) => {
      this.#internal = event.target.checked;
      remember.set('internal', this.#internal ? 'on' : null);
      this.#drawList();
    });
    byId('topics-filter').addEventListener('input', () => this.#drawList());
    this.#drawSkeleton();
  }

  /** fallback is the topic to open when the address names none. */
  get fallback() {
    const names = (this.#topics ?? []).filter((t) => !t.internal).map((t) => t.name);
    return names.includes('orders') ? 'orders' : (names[0] ?? null);
  }

  update(topics) {
    const now = Date.now();
    for (const topic of topics) {
      const past = this.#history.get(topic.name) ?? [];
      past.push({ at: now, end: topic.partitions.reduce((sum, p) => sum + p.high, 0) });
      while (now - past[0].at > rateWindow) past.shift();
      this.#history.set(topic.name, past);
    }
    this.#topics = topics.toSorted((a, b) => Number(a.internal ?? false) - Number(b.internal ?? false) || a.name.localeCompare(b.name));
    this.#drawList();
    this.#drawHead();
  }

  failed() {
    if (this.#topics) return;
    byId('topics-list').replaceChildren();
    byId('topics-empty').hidden = false;
    setText(byId('topics-empty'), 'The topics cannot be read at the moment.');
  }

  setGroups(groups) {
    this.#groups = groups;
    this.#drawHead();
  }

  open(route) {
    this.#route = route;
    this.#drawList();
    this.#drawHead();
  }

  #rateOf(name) {
    const past = this.#history.get(name) ?? [];
    if (past.length < 2) return 0;
    const [first, last] = [past[0], past[past.length - 1]];
    return Math.max(0, ((last.end - first.end) / (last.at - first.at)) * 1000);
  }

  #drawSkeleton() {
    byId('topics-list').append(...Array.from({ length: 6 }, () => el('li', { class: 'ghost', 'aria-hidden': 'true' })));
  }

  #drawList() {
    if (!this.#topics) return;
    const internal = this.#topics.filter((t) => t.internal).length;
    byId('internal-label').hidden = internal === 0;
    const visible = this.#topics.filter((t) => !t.internal || this.#internal || t.name === this.#route?.topic);
    const find = byId('topics-filter');
    find.hidden = visible.length < manyTopics && find.value === '';
    const wanted = find.value.trim().toLowerCase();
    const found = visible.filter((t) => t.name.toLowerCase().includes(wanted));

    // Links are kept and only refreshed: the poll must not take the focus away.
    const list = byId('topics-list');
    const old = new Map([...list.children].filter((li) => li.dataset.topic).map((li) => [li.dataset.topic, li]));
    const items = found.map((topic) => this.#drawItem(old.get(topic.name) ?? this.#buildItem(topic.name), topic));
    if (items.length !== list.children.length || items.some((li, i) => li !== list.children[i])) list.replaceChildren(...items);
    const empty = byId('topics-empty');
    empty.hidden = found.length > 0;
    setText(empty, visible.length === 0 ? 'This Kafka cluster has no topics yet. They appear here once they are created.' : `No topic has “${find.value.trim()}” in its name.`);
  }

  #buildItem(name) {
    const parts = { name: el('span', { class: 'topic-item-name', title: name }, name), count: el('span', { class: 'topic-item-count num' }), partitions: el('span', { class: 'topic-item-facts num' }), bars: el('span', { class: 'topic-item-bars' }), facts: el('span', { class: 'topic-item-facts num' }) };
    const li = el('li', {}, el('a', { class: 'topic-item' }, parts.name, parts.count, parts.partitions, parts.bars, parts.facts));
    li.dataset.topic = name;
    li.parts = parts;
    return li;
  }

  #drawItem(li, topic) {
    const { parts } = li;
    const link = li.firstChild;
    link.href = this.#link(topic.name, null);
    if (topic.name === this.#route?.topic) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
    link.classList.toggle('dead', topic.name.endsWith('.dlq') && topic.messages > 0);
    setText(parts.count, atMost(topic.messages, compact));
    setText(parts.partitions, plural(topic.partitions.length, 'partition'));
    parts.count.title = countNote(topic.messages);
    parts.bars.replaceChildren(skewBars(topic.partitions));
    const speed = this.#rateOf(topic.name);
    const skew = skewOf(topic.partitions);
    const facts = [];
    if (skew >= 2) facts.push(`skew ${skew.toFixed(1)}×`);
    if (speed > 0) facts.push(`+${rate(speed)}/s`);
    setText(parts.facts, facts.join(' · '));
    parts.facts.title = skew >= 2 ? `The fullest partition holds ${skew.toFixed(1)} times the mean` : '';
    return li;
  }

  #drawHead() {
    const { topic: name, partition } = this.#route ?? {};
    setText(byId('topic-name'), name || 'Messages');
    const topic = this.#topics?.find((t) => t.name === name);
    const strip = byId('partitions');
    if (!topic) {
      setText(byId('topic-facts'), this.#topics && name ? 'Not among the topics' : ' ');
      byId('topic-groups').replaceChildren();
      strip.replaceChildren();
      return;
    }
    const speed = this.#rateOf(name);
    const leaderless = topic.partitions.filter((p) => p.leader < 0 || p.leader === null).length;
    const facts = [plural(topic.partitions.length, 'partition'), atMost(topic.messages)];
    if (speed > 0) facts.push(`+${rate(speed)}/s`);
    if (leaderless > 0) facts.push(`${leaderless} without a leader`);
    setText(byId('topic-facts'), facts.join(' · '));
    byId('topic-facts').title = countNote(topic.messages);

    byId('topic-groups').replaceChildren(
      ...this.#groups.flatMap((group) => {
        const own = (group.partitions ?? []).filter((p) => p.topic === name);
        if (own.length === 0) return [];
        const lag = own.reduce((sum, p) => sum + Math.max(0, p.lag ?? 0), 0);
        return [el('a', { class: 'chip link', href: '#view=groups', title: `Consumer group ${group.group}, ${group.state}` }, `${group.group} `, el('b', { class: 'num' }, `lag ${number(lag)}`))];
      }),
    );

    const most = Math.max(1, ...topic.partitions.map((p) => p.messages));
    const entries = [{ label: 'all', href: this.#link(name, null), on: partition === null, count: topic.messages, title: `All partitions: ${atMost(topic.messages)}` }].concat(
      topic.partitions.map((p) => ({
        label: `p${p.partition}`,
        href: this.#link(name, p.partition),
        on: partition === p.partition,
        count: p.messages,
        share: p.messages / most,
        title: `Partition ${p.partition}: ${atMost(p.messages)}, offsets ${number(p.low)} to ${number(p.high)}, ${p.leader < 0 || p.leader === null ? 'no leader' : `leader ${p.leader}`}`,
      })),
    );
    // Again refreshed in place, for the sake of the focus.
    while (strip.children.length > entries.length) strip.lastChild.remove();
    entries.forEach((entry, i) => {
      let a = strip.children[i];
      if (!a) {
        a = el('a', { class: 'partition' }, el('span', { class: 'partition-bar', 'aria-hidden': 'true' }, el('span')), el('span', { class: 'partition-label' }), el('span', { class: 'partition-count num' }));
        strip.append(a);
      }
      const [bar, label, count] = a.children;
      a.classList.toggle('all', entry.share === undefined);
      a.href = entry.href;
      a.title = entry.title;
      if (entry.on) a.setAttribute('aria-current', 'true');
      else a.removeAttribute('aria-current');
      bar.firstChild.style.blockSize = entry.share === undefined ? '' : `${Math.max(entry.share * 100, entry.count > 0 ? 4 : 0)}%`;
      setText(label, entry.label);
      setText(count, entry.count === 0 ? '0' : `≤ ${compact(entry.count)}`);
    });
  }
}

const countNote = (n) => `${number(n)} offsets between the beginning and the end. Transaction markers and compaction use up some, so there may be fewer records.`;

const mean = (partitions) => partitions.reduce((sum, p) => sum + p.messages, 0) / partitions.length;

/** skewOf is how many times the mean the fullest partition holds. Too few
 * records say nothing about skew. */
function skewOf(partitions) {
  const average = mean(partitions);
  return average < 5 ? 1 : Math.max(...partitions.map((p) => p.messages)) / average;
}

/** skewBars draws a bar per partition; where there are too many to see, each
 * bar stands for the fullest of a few neighbours. */
function skewBars(partitions) {
  const wide = Math.ceil(partitions.length / 48);
  const sizes = [];
  for (let i = 0; i < partitions.length; i += wide) sizes.push(Math.max(...partitions.slice(i, i + wide).map((p) => p.messages)));
  const most = Math.max(1, ...sizes);
  const step = Math.min(10, 120 / sizes.length);
  return svg(
    'svg',
    { viewBox: '0 0 120 16', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    ...sizes.map((size, i) => {
      const height = size === 0 ? 1 : Math.max(1.5, (size / most) * 16);
      return svg('rect', { x: i * step, width: Math.max(1, step - (step > 4 ? 2 : 0.6)), y: 16 - height, height, class: size === 0 ? 'none' : '' });
    }),
  );
}
