// The fields above the records: what to show, from where, and how much.

import { byId, el } from './dom.js';
import { number } from './format.js';

export const defaultLimit = 50;
const limits = [10, 25, 50, 100, 250, 500, 1000];

export class Toolbar {
  #filter = {}; // as the address has it

  /** onFilter gets a changed filter; onSeek a place to start at; onSubmit the id
   * of the field that Enter was pressed in. */
  constructor({ onFilter, onSeek, onSubmit }) {
    for (const limit of limits) byId('limit').append(el('option', { value: String(limit), selected: limit === defaultLimit }, number(limit)));
    let typing;
    byId('filter').addEventListener('input', (event) => {
      clearTimeout(typing);
      const text = event.target.value;
      typing = setTimeout(() => onFilter({ ...this.#filter, text }), 120);
    });
    for (const name of ['range', 'from', 'to']) {
      byId(name).addEventListener('change', (event) => onFilter({ ...this.#filter, [name]: event.target.value }));
    }
    byId('toolbar').addEventListener('submit', (event) => {
      event.preventDefault();
      onSubmit(document.activeElement.id);
    });
    byId('start').addEventListener('change', ({ target }) => {
      this.#showStart(target.value);
      if (!target.value) onSeek({});
    });
    byId('offset').addEventListener('change', ({ target }) => {
      const offset = target.value.trim();
      if (target.reportValidity() && offset) onSeek({ offset });
    });
    byId('time').addEventListener('change', ({ target }) => target.value && onSeek({ time: target.value }));
  }

  /** fill shows what the address says. */
  fill({ limit, offset, time }, filter) {
    this.#filter = filter;
    if (byId('filter').value.trim() !== filter.text.trim()) byId('filter').value = filter.text;
    for (const name of ['range', 'from', 'to']) byId(name).value = filter[name];
    byId('custom-range').hidden = filter.range !== 'custom';
    byId('offset').value = offset;
    byId('time').value = time;
    this.#showStart(offset ? 'offset' : time ? 'time' : '');
    const select = byId('limit');
    select.querySelector('[data-extra]')?.remove();
    if (!limits.includes(limit)) select.append(el('option', { value: String(limit), 'data-extra': '' }, number(limit)));
    select.value = String(limit);
  }

  #showStart(kind) {
    byId('start').value = kind;
    for (const name of ['offset', 'time']) byId(`start-${name}`).hidden = kind !== name;
  }
}
