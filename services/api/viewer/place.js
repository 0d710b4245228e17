// Places in words: what a page shows, how far a search has looked, what could not
// be read and where a log was cut.

import { moment, number, plural } from './format.js';

// X-Reason in words; one that is not here is shown as it came.
export const reasons = {
  'time-limit': 'the time for reading ran out',
  'byte-limit': 'the response reached its limit in bytes',
  unreadable: 'some records cannot be read',
  'cursor-limit': 'the timestamps of this topic are so out of order that this page had to end early',
};

// Why a record can't be read.
const causes = {
  crc: 'damaged: the checksum does not match',
  codec: 'cannot be decompressed',
  format: 'not in Kafka’s record format',
  size: 'larger than the service reads at once',
};

/** placeText says what else than the newest records is shown, or nothing.
 * searched is how far a search has looked, null while it looks. */
export function placeText({ partition, search, offset, time }, searched) {
  const all = [];
  if (search) all.push(`Records with “${search}”`);
  if (offset) all.push(`${all.length ? 'up' : 'Up'} to offset ${number(BigInt(offset))}${partition === null ? ' of each partition' : ` of partition ${partition}`}`);
  if (time) all.push(`${all.length ? 'up' : 'Up'} to ${moment(new Date(time))}`);
  if (search && searched) all.push(`searched ${plural(searched.records, 'record')}, back to ${searched.back ? moment(new Date(searched.back)) : 'the beginning'}`);
  return all.join(' · ');
}

/** loadedText says what of the topic is on the page. */
export function loadedText({ records, shown, filtering, utc }, loading) {
  const total = records.length;
  if (total === 0) return loading ? 'Reading …' : 'No records.';
  const oldest = records[total - 1];
  const reach = Number.isNaN(oldest.at) ? '' : `, back to ${moment(new Date(oldest.at), utc)}`;
  if (filtering) return `${number(shown.length)} of ${plural(total, 'loaded record')} match. Filters see loaded records only${reach}. “Search” covers all.`;
  return `${plural(total, 'record')}, newest first${reach}.`;
}

/** unreadableText names records that were left out, and why. */
export function unreadableText(partition, first, last, cause) {
  const offsets = first === last ? `offset ${first}` : `offsets ${first} to ${last}`;
  return `partition ${partition}, ${offsets} (${causes[cause] ?? cause})`;
}

/** unreadablePlaces says in words what an answer's X-Unreadable names, as
 * "partition/first-last (cause), …, and N more". */
export function unreadablePlaces(list) {
  return Array.from(list.matchAll(/(\d+)\/(\d+)-(\d+) \((\w+)\)|and \d+ more/g), ([text, partition, first, last, cause]) => (partition ? unreadableText(partition, first, last, cause) : text));
}

/** resetText says that a partition goes on elsewhere than was to be expected. */
export function resetText({ partition, from, to, cause }) {
  const why = { recreated: 'the topic was deleted and created again', cut_back: 'the log has lost its end', expired: 'records were deleted before they were read' }[cause] ?? cause;
  return `partition ${partition} continues at offset ${to} instead of ${from} (${why})`;
}
