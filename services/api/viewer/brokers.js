// The brokers of the cluster: where they are and what they hold.

import { byId, el, setText } from './dom.js';
import { number } from './format.js';

export class Brokers {
  #known = false;

  update({ clusterId, controller, features, brokers }) {
    this.#known = true;
    byId('brokers-empty').hidden = true;
    byId('brokers-table').hidden = false;
    const elsewhere = controller !== null && !brokers.some((b) => b.id === controller);
    const facts = [`Cluster ${clusterId}`];
    if (controller === null) facts.push('controller unknown: Kafka’s access list does not let this service know it');
    else facts.push(`controller: node ${controller}${elsewhere ? ', which is not a broker' : ''}`);
    setText(byId('brokers-facts'), facts.join(' · '));
    byId('brokers-rows').replaceChildren(...brokers.map(row));
    const levels = Object.entries(features).sort(([a], [b]) => a.localeCompare(b));
    byId('features').hidden = levels.length === 0;
    byId('features-list').replaceChildren(...levels.map(([name, level]) => el('div', {}, el('dt', {}, name), el('dd', { class: 'num' }, String(level)))));
  }

  failed(problem) {
    if (this.#known) return;
    setText(byId('brokers-facts'), '');
    byId('brokers-table').hidden = true;
    byId('brokers-empty').hidden = false;
    byId('brokers-empty').replaceChildren(el('h2', {}, 'Brokers cannot be read'), el('p', {}, problem.text));
  }
}

function row(broker) {
  const cell = (text, kind = '') => el('td', { class: kind }, text);
  const state = el('span', { class: 'state', 'data-state': broker.up ? 'up' : 'down' }, el('span', { class: 'dot', 'aria-hidden': 'true' }), broker.up ? 'up' : 'not in the cluster');
  return el(
    'tr',
    {},
    el('th', { scope: 'row', class: 'num' }, String(broker.id), broker.controller && ' ', broker.controller && el('span', { class: 'chip' }, 'controller')),
    el('td', {}, state),
    cell(broker.host ? `${broker.host}:${broker.port}` : '–'),
    cell(broker.rack ?? '–'),
    cell(broker.version || '–'),
    cell(number(broker.leaders), 'r num'),
    cell(number(broker.replicas), 'r num'),
    el('td', { class: 'r num' }, broker.outOfSync > 0 ? el('span', { class: 'chip fault' }, number(broker.outOfSync)) : '0'),
  );
}
