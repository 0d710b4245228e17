// Consumer groups: who reads what, how far behind, and where that is going.

import { colourOf, dashOf, LagChart } from './chart.js';
import { byId, el, setText, svg } from './dom.js';
import { compact, moment, number, plural, rate, span } from './format.js';

const mostReadings = 1440; // two hours at one each five seconds, then thinned
const trendWindow = 30_000;
const openUpTo = 12; // partitions shown without being asked

const stateKind = { stable: 'up', empty: 'idle', dead: 'down' };

export class Groups {
  #groups = null;
  #names = []; // in order of first appearance: a group keeps its colour
  #times = [];
  #values = new Map(); // name → a value per time, null where it was not there
  #hidden = new Set();
  #legend = new Map(); // name → where its value stands
  #chart = new LagChart(byId('lag-chart'), (at, chosen) => this.#drawReading(at, chosen));
  #link;

  /** link gives the address of a topic or of one of its partitions. */
  constructor(link) {
    this.#link = link;
    this.#drawSkeleton();
    this.#drawChart();
  }

  update(groups) {
    this.#groups = groups.map((g) => ({ ...g, partitions: g.partitions ?? [], lag: g.lag ?? 0 })).sort((a, b) => a.group.localeCompare(b.group));
    this.#read();
    this.#drawLegend();
    this.#drawChart();
    this.#drawList();
    const total = this.#groups.reduce((sum, g) => sum + g.lag, 0);
    byId('tab-groups-lag').hidden = total === 0;
    setText(byId('tab-groups-lag'), compact(total));
    byId('tab-groups-lag').title = `Lag of all groups: ${number(total)}`;
  }

  failed(problem) {
    if (this.#groups) return;
    byId('groups-list').replaceChildren();
    this.#empty('Groups cannot be read', problem.text);
  }

  #read() {
    this.#times.push(Date.now());
    for (const { group } of this.#groups) {
      if (this.#values.has(group)) continue;
      this.#names.push(group);
      this.#values.set(group, new Array(this.#times.length - 1).fill(null));
    }
    const lags = new Map(this.#groups.map((g) => [g.group, g.lag]));
    for (const [name, values] of this.#values) values.push(lags.get(name) ?? null);
    if (this.#times.length <= mostReadings) return;
    // Drop every other one of the older half, which needs less detail.
    const half = mostReadings / 2;
    const keep = (_, i) => i > half || i % 2 === 0;
    this.#times = this.#times.filter(keep);
    for (const [name, values] of this.#values) this.#values.set(name, values.filter(keep));
  }

  /** trend is the change of a group's lag per second over the last half minute. */
  #trend(name) {
    const values = this.#values.get(name) ?? [];
    const last = this.#times.length - 1;
    let first = last;
    while (first > 0 && this.#times[last] - this.#times[first - 1] <= trendWindow && values[first - 1] !== null) first--;
    const seconds = (this.#times[last] - this.#times[first]) / 1000;
    return seconds < 8 ? null : (values[last] - values[first]) / seconds;
  }

  #drawChart() {
    this.#chart.update(
      this.#times,
      this.#names.map((name, index) => ({ name, index, values: this.#values.get(name) })).filter((s) => !this.#hidden.has(s.name)),
    );
  }

  #drawLegend() {
    const legend = byId('lag-legend');
    // Grown only, so that the focus stays.
    this.#names.slice(legend.children.length).forEach((name) => {
      const index = this.#names.indexOf(name);
      const line = svg('svg', { viewBox: '0 0 22 8', 'aria-hidden': 'true' }, svg('line', { class: `line ${colourOf(index)}`, x1: 0, x2: 22, y1: 4, y2: 4, 'stroke-dasharray': dashOf(index) }));
      const value = el('b', { class: 'num' });
      const button = el('button', { type: 'button', class: 'legend-item', 'aria-pressed': 'true', title: 'Show or hide this line', on: { click: () => {
        if (!this.#hidden.delete(name)) this.#hidden.add(name);
        button.setAttribute('aria-pressed', String(!this.#hidden.has(name)));
        this.#drawChart();
      } } }, line, el('span', { class: 'legend-name' }, name), value);
      legend.append(button);
      this.#legend.set(name, value);
    });
  }

  /** drawReading writes into the legend what the lags were at a reading. */
  #drawReading(at, chosen) {
    const time = this.#times[at];
    setText(byId('lag-time'), time === undefined ? 'Waiting for the first reading …' : `${chosen ? 'at' : 'now,'} ${moment(new Date(time))}`);
    for (const [name, node] of this.#legend) {
      const value = this.#values.get(name)[at];
      setText(node, value === null || value === undefined ? '–' : number(value));
    }
  }

  #drawSkeleton() {
    byId('groups-list').append(el('div', { class: 'group ghost', 'aria-hidden': 'true' }), el('div', { class: 'group ghost', 'aria-hidden': 'true' }));
  }

  #empty(title, text) {
    byId('groups-empty').hidden = title === '';
    if (title) byId('groups-empty').replaceChildren(el('h2', {}, title), el('p', {}, text));
  }

  #drawList() {
    const list = byId('groups-list');
    list.querySelectorAll('.ghost').forEach((ghost) => ghost.remove());
    byId('lag-figure').hidden = this.#names.length === 0;
    if (this.#groups.length === 0) this.#empty('No consumer groups', 'No group has read from this Kafka yet. The consumers of the platform appear here with their lag once they run.');
    else this.#empty('', '');

    const old = new Map([...list.children].map((node) => [node.dataset.group, node]));
    const nodes = this.#groups.map((group) => this.#drawGroup(old.get(group.group) ?? this.#buildGroup(group), group));
    if (nodes.length !== list.children.length || nodes.some((node, i) => node !== list.children[i])) list.replaceChildren(...nodes);
  }

  #buildGroup(group) {
    const title = `group-${this.#names.indexOf(group.group)}`;
    const node = el(
      'article',
      { class: 'group', 'aria-labelledby': title },
      el('div', { class: 'group-head' },
        el('h2', { id: title }, el('i', { class: `swatch ${colourOf(this.#names.indexOf(group.group))}`, 'aria-hidden': 'true' }), group.group),
        el('span', { class: 'state' }, el('span', { class: 'dot', 'aria-hidden': 'true' }), el('span', { class: 'group-state' })),
        el('span', { class: 'group-members muted' }),
        el('span', { class: 'group-protocol muted' })),
      el('p', { class: 'group-lag' }, el('b', { class: 'num' }), ' ', el('span', { class: 'muted' })),
      el('details', { open: group.partitions.length <= openUpTo },
        el('summary', {}),
        el('div', { class: 'scroll-x' },
          el('table', { class: 'lags' },
            el('thead', {}, el('tr', {}, ...['Partition', 'Committed', 'End', 'Lag'].map((name, i) => el('th', { scope: 'col', class: i > 0 ? 'r' : '' }, name)), el('td'))),
            el('tbody')))),
      el('details', { class: 'consumers', open: true },
        el('summary', {}),
        el('div', { class: 'scroll-x' },
          el('table', { class: 'lags' },
            el('thead', {}, el('tr', {}, ...['Client', 'Host', 'Partitions', 'Lag'].map((name, i) => el('th', { scope: 'col', class: i === 3 ? 'r' : '' }, name)))),
            el('tbody')))),
    );
    node.dataset.group = group.group;
    return node;
  }

  #drawGroup(node, group) {
    const state = String(group.state || 'unknown');
    node.querySelector('.state').dataset.state = stateKind[state.toLowerCase()] ?? 'warn';
    setText(node.querySelector('.group-state'), state);
    const members = group.members ?? 0;
    const stalled = members === 0 && group.lag > 0;
    setText(node.querySelector('.group-members'), stalled ? 'no members: no consumer is reducing this lag' : plural(members, 'member'));
    node.classList.toggle('stalled', stalled);
    const protocol = node.querySelector('.group-protocol');
    protocol.hidden = !['classic', 'consumer'].includes(group.protocol);
    setText(protocol, `${group.protocol} protocol`);
    protocol.title = group.protocol === 'consumer' ? 'The brokers assign the partitions (KIP-848)' : 'The members assign the partitions';
    setText(node.querySelector('.group-lag b'), number(group.lag));
    setText(node.querySelector('.group-lag span'), `${group.lag === 1 ? 'record' : 'records'} behind${this.#trendText(group)}`);
    const topics = [...new Set(group.partitions.map((p) => p.topic))];
    setText(node.querySelector('summary'), topics.length === 0 ? 'No committed offsets' : `${topics.join(', ')}: ${plural(group.partitions.length, 'partition')}`);

    const most = Math.max(1, ...group.partitions.map((p) => p.lag ?? 0));
    const body = node.querySelector('tbody');
    while (body.children.length > group.partitions.length) body.lastChild.remove();
    group.partitions.toSorted((a, b) => a.topic.localeCompare(b.topic) || a.partition - b.partition).forEach((p, i) => {
      let row = body.children[i];
      if (!row) {
        row = el('tr', {}, el('th', { scope: 'row' }, el('a')), el('td', { class: 'r num' }), el('td', { class: 'r num' }), el('td', { class: 'r num' }), el('td', { class: 'bar-cell' }, el('span', { class: 'bar-lag', 'aria-hidden': 'true' })));
        body.append(row);
      }
      const [name, committed, end, lag, bar] = row.children;
      name.firstChild.href = this.#link(p.topic, p.partition);
      setText(name.firstChild, topics.length > 1 ? `${p.topic} p${p.partition}` : `p${p.partition}`);
      name.firstChild.title = `Messages of ${p.topic}, partition ${p.partition}`;
      const none = p.committed === null || p.committed === undefined || p.committed < 0;
      setText(committed, none ? 'none' : number(p.committed));
      setText(end, p.end === null || p.end === undefined ? '–' : number(p.end));
      setText(lag, p.lag === null || p.lag === undefined ? '–' : number(p.lag));
      bar.firstChild.style.inlineSize = `${((p.lag ?? 0) / most) * 100}%`;
    });
    this.#drawConsumers(node.querySelector('.consumers'), group.consumers ?? [], topics.length > 1);
    return node;
  }

  /** drawConsumers shows the members of a group: who they are, where they run,
   * what they are assigned and how far behind they are. */
  #drawConsumers(node, consumers, manyTopics) {
    node.hidden = consumers.length === 0;
    setText(node.querySelector('summary'), plural(consumers.length, 'member'));
    const body = node.querySelector('tbody');
    while (body.children.length > consumers.length) body.lastChild.remove();
    consumers.forEach((consumer, i) => {
      if (!body.children[i]) body.append(el('tr', {}, el('th', { scope: 'row' }), el('td'), el('td', { class: 'assigned' }), el('td', { class: 'r num' })));
      const [client, host, assigned, lag] = body.children[i].children;
      setText(client, consumer.clientId || '–');
      client.title = consumer.instanceId ? `${consumer.id}, static member ${consumer.instanceId}` : consumer.id;
      setText(host, consumer.host || '–');
      setText(assigned, consumer.partitions.map((p) => (manyTopics ? `${p.topic} p${p.partition}` : `p${p.partition}`)).join(', ') || 'none');
      setText(lag, consumer.partitions.some((p) => p.lag !== null) ? number(consumer.lag) : '–');
    });
  }

  #trendText(group) {
    const trend = this.#trend(group.group);
    if (trend === null) return '';
    if (Math.abs(trend) < 0.05) return ' · steady';
    if (trend > 0) return ` · growing by ${rate(trend)}/s`;
    if (group.lag === 0) return ' · caught up';
    return ` · falling by ${rate(-trend)}/s, done in about ${span((group.lag / -trend) * 1000)}`;
  }
}
