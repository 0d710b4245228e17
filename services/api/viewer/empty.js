// What is shown if there are no records to show.

import { byId, el } from './dom.js';
import { number, plural } from './format.js';

const tokenHint = 'Reload this page and give the token as the password when the browser asks; any user name will do.';

/** drawEmpty says why no record is shown and what can be done. state is what is
 * known: { query, problem, none, total, unreadable, reason, next }; work is what
 * the buttons do: { load, older, clear, newest, live }. */
export function drawEmpty(state, work) {
  const { query, problem, none, total, unreadable, reason, next } = state;
  const box = byId('empty');
  box.replaceChildren();
  const say = (title, text, ...actions) => box.append(el('h2', {}, title), el('p', {}, text), ...(actions.some(Boolean) ? [el('p', { class: 'empty-actions' }, ...actions.filter(Boolean))] : []));
  const action = (text, what) => el('button', { type: 'button', class: 'button', on: { click: what } }, text);
  const { topic, partition, search, offset, time } = query ?? {};
  const one = partition !== null && partition !== undefined;
  const further = next && action(search ? 'Search further' : 'Look further back', work.older);
  const newest = action('Show the newest', work.newest);
  if (problem) {
    const again = query ? action('Try again', work.load) : null;
    const all = el('a', { class: 'button', href: `#${new URLSearchParams({ topic })}` }, `All of ${topic}`);
    if (problem.status === 404 && one) say('No such partition', `${topic} has no partition ${partition}, or is gone altogether.`, all);
    else if (problem.status === 404) say('No such topic', `“${topic}” does not exist, or no longer.`, again, el('a', { class: 'button to-topics', href: '#view=topics' }, 'See the topics'));
    else if (problem.status === 400) say('That cannot be shown', problem.text, all);
    else if (problem.status === 401) say('A token is needed', tokenHint, action('Reload the page', () => location.reload()));
    else if (problem.status === 403) say('Access denied', problem.text);
    else if (problem.passes) say('Nothing can be read at the moment', `${problem.text.replace(/\.$/, '')}. The page keeps trying by itself.`, again);
    else say(problem.title, problem.text, again);
  } else if (none) {
    say('No topics yet', 'This Kafka holds no topic. As soon as one is created, its messages are shown here.');
  } else if (total > 0) {
    const older = next && action(`Load ${number(query.limit)} older`, work.older);
    say('No match', `None of the ${plural(total, 'loaded record')} ${total === 1 ? 'matches' : 'match'}. Filters see the loaded records only; older ones may match.`, action('Clear the filters', work.clear), older);
  } else if (unreadable.length > 0) {
    say('Nothing that can be read', `Everything here was left out: ${unreadable.join('; ')}.`, further);
  } else if (search) {
    say(next ? 'Nothing found so far' : 'Nothing found', `${next ? 'What was searched' : 'The topic'} holds no record with “${search}” in its key, value or headers.`, further, newest);
  } else if (reason) {
    say('Nothing read', `The service found no record within its limits: ${reason}.`, further, action('Try again', work.load));
  } else if (offset || time) {
    say('Nothing before that', 'There is no record at or before that offset or time: retention may have removed it.', newest);
  } else if (one) {
    say('An empty partition', `Partition ${partition} holds no record.`, action('All partitions', () => byId('partitions').querySelector('a')?.click()));
  } else {
    say('An empty topic', 'No record is in it: none was ever written, or retention has removed them all. Go live to see the first one arrive.', action('Go live', work.live));
  }
}

/** drawSkeleton shows where rows are going to be. */
export function drawSkeleton(on) {
  const skeleton = byId('skeleton');
  skeleton.hidden = !on;
  if (!on || skeleton.childElementCount > 0) return;
  for (let i = 0; i < 24; i++) skeleton.append(el('div', {}, el('i'), el('i'), el('i'), el('i')));
}
