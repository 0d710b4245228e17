// The configuration of one topic.

import { get } from './api.js';
import { byId, el, setText } from './dom.js';
import { plural } from './format.js';

// Where a value is set, by Kafka's names.
const sources = {
  DYNAMIC_TOPIC_CONFIG: 'this topic',
  DYNAMIC_BROKER_CONFIG: 'one broker',
  DYNAMIC_DEFAULT_BROKER_CONFIG: 'all brokers',
  STATIC_BROKER_CONFIG: 'the brokers’ files',
  DEFAULT_CONFIG: 'default',
};

export class TopicConfig {
  #topic = null;
  #settings = [];

  constructor() {
    byId('config-changed').addEventListener('change', () => this.#draw());
  }

  /** show reads a topic's configuration, each time that it is opened. */
  async show(topic) {
    const again = this.#topic === topic;
    this.#topic = topic;
    setText(byId('config-title'), `Configuration of ${topic}`);
    byId('config-back').href = `#${new URLSearchParams({ topic })}`;
    if (!again) this.#say('', 'Reading …');
    try {
      const { body } = await get(`/topics/${encodeURIComponent(topic)}/config`);
      if (topic !== this.#topic) return;
      this.#settings = body;
      this.#draw();
    } catch (fault) {
      if (topic !== this.#topic) return;
      const again = el('button', { type: 'button', class: 'button', on: { click: () => this.show(topic) } }, 'Try again');
      this.#say(fault.status === 404 ? 'No such topic' : 'The configuration cannot be read', fault.text ?? fault.message, fault.passes && el('p', { class: 'empty-actions' }, again));
    }
  }

  #say(title, text, action) {
    byId('config-table').hidden = true;
    byId('config-empty').hidden = false;
    byId('config-empty').replaceChildren(...[title && el('h2', {}, title), el('p', {}, text), action].filter(Boolean));
  }

  #draw() {
    const changed = this.#settings.filter((s) => !s.isDefault);
    setText(byId('config-facts'), `${plural(this.#settings.length, 'setting')}, ${changed.length} not at Kafka’s default`);
    const shown = byId('config-changed').checked ? changed : this.#settings;
    if (shown.length === 0) {
      this.#say('All at Kafka’s defaults', 'Nothing is set for this topic or on its brokers.');
      return;
    }
    byId('config-empty').hidden = true;
    byId('config-table').hidden = false;
    byId('config-rows').replaceChildren(...shown.map(row));
  }
}

function row(setting) {
  const { name, value, source, isDefault, inherited, sensitive } = setting;
  const where = sources[source] ?? source;
  const shown = sensitive ? el('span', { class: 'chip null' }, 'sensitive') : value === null || value === '' ? el('span', { class: 'chip null' }, value === null ? 'none' : 'empty') : value;
  return el(
    'tr',
    { class: isDefault ? '' : 'changed' },
    el('th', { scope: 'row' }, name),
    el('td', { class: 'assigned' }, shown),
    el('td', {}, isDefault ? el('span', { class: 'muted' }, where) : el('span', { class: 'chip set', title: source }, where)),
    el('td', { class: 'assigned muted' }, inherited ? `${inherited.name} = ${inherited.value}` : ''),
  );
}
