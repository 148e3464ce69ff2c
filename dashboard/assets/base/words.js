// The words for what the server tells by name, and a sign beside each severity, so that colour never speaks alone.

import { h, svg } from './dom.js';

const SIGNS = {
  critical: 'M8 1h8l7 7v8l-7 7H8l-7-7V8z',
  warning: 'M12 2 23 22H1z',
  info: 'M12 1a11 11 0 1 0 0 22 11 11 0 0 0 0-22z',
  silent: 'M2 2h20v20H2z',
  fine: 'M12 1a11 11 0 1 0 0 22 11 11 0 0 0 0-22z',
};
const INNER = {
  critical: 'M12 6v7M12 17v.5',
  warning: 'M12 9v6M12 18.4v.4',
  info: 'M12 11v6.500M12 7v.5',
  silent: 'M9 8v8M15 8v8',
  fine: 'm7 12.500 3.500 3.500L17 9',
};
const WORDS = { critical: 'critical', warning: 'warning', info: 'info', silent: 'silent', fine: 'nothing unusual' };
const MEANINGS = {
  critical: 'three methods agree, or a critical rule is broken',
  warning: 'two methods agree, or one is far beyond its limit',
  info: 'one method alone reports it',
  silent: 'nothing comes from the device any more',
  fine: 'no incident is open',
};

/** The sign of a severity, `silent` or `fine`; the word stands beside it. */
export function sign(kind) {
  return svg(
    'svg',
    { class: `sign sign-${kind}`, viewBox: '0 0 24 24', 'aria-hidden': 'true', focusable: 'false' },
    svg('path', { d: SIGNS[kind], class: 'sign-shape' }),
    svg('path', { d: INNER[kind], class: 'sign-mark' }),
  );
}

/** Sign and word of a severity (`null`: nothing unusual) or of silence. */
export function badge(kind) {
  const known = kind in SIGNS ? kind : 'fine';
  return h('span', { class: `badge badge-${known}`, title: MEANINGS[known] }, sign(known), WORDS[known]);
}

/** A name as people write it: `supply_air_temp` becomes `supply air temp`. */
export function plain(name) {
  return String(name ?? '').replaceAll('_', ' ');
}

const KINDS = {
  anomaly: 'Unusual behaviour',
  silent: 'Silent: nothing comes any more',
  gaps: 'Gaps: many readings do not come',
  missing: 'Missing: a metric does not come',
  stuck: 'Stuck: the same value again and again',
  erratic: 'Erratic: a value leaps and comes back',
};

/** An incident's kind in words; what it is about stands behind a colon. */
export function kindText(kind) {
  const [word, ...metric] = String(kind).split(':');
  const text = KINDS[word] ?? plain(word);
  return metric.length ? `${text.split(':')[0]}: ${plain(metric.join(':'))}` : text;
}

/** The kinds that there are, for a filter: name and words. */
export const kinds = Object.entries(KINDS).map(([name, text]) => ({ name, text: text.split(':')[0] }));

const METHODS = {
  rules: 'rules',
  statistics: 'statistics',
  fingerprint: 'fingerprint',
  similar: 'similar states',
  consensus: 'all together',
};
const METHOD_MEANINGS = {
  rules: 'limits and relations from the catalogue',
  statistics: 'each metric and all together against their own past',
  fingerprint: "how far the state is from the device's usual ones",
  similar: 'whether there were states like it before',
  consensus: 'the four methods, weighted',
};

/** A method's name in words. */
export function methodText(method) {
  return METHODS[method] ?? plain(method);
}

/** What a method looks at. */
export function methodMeaning(method) {
  return METHOD_MEANINGS[method] ?? '';
}

const RESOLUTIONS = {
  false_positive: 'a false positive',
  'false-positive': 'a false positive',
  resolved: 'a fault',
  fault: 'a fault',
  maintenance: 'maintenance',
};

/** What people said that an incident was. */
export function resolutionText(resolution) {
  return RESOLUTIONS[resolution] ?? plain(resolution);
}

const FINDINGS = {
  residual: 'unlike its model',
  range: 'outside its range',
  season: 'unusual for the hour',
  jump: 'jumped',
  level: 'level has shifted',
  relation: 'does not fit the other metrics',
  stuck: 'stuck',
  missing: 'missing',
  erratic: 'erratic',
  gaps: 'readings lost',
  centroid: 'far from usual states',
  peers: 'unlike its peers',
  neighbours: 'no similar states',
  new_operating_point: 'new operating point: held back',
  raised_bar: 'held back: the bar was raised by people',
  maintenance: 'held back: maintenance',
  whole_type: 'held back: the whole type shows it',
};

/** What was found, in words; a rule goes by its own name. */
export function findingText(kind) {
  return FINDINGS[kind] ?? `rule: ${plain(kind)}`;
}

const REASONS = {
  not_json: 'not one JSON object',
  missing_field: 'a required field is absent or empty',
  wrong_type: 'a field has the wrong type',
  not_finite: 'the value is no finite number',
  bad_timestamp: "the timestamp can't be read",
  too_far_in_future: 'the time lies too far ahead',
  too_old: 'the time lies too far back',
  too_large: 'the message or a name is too long',
  unknown_unit: 'the metric is known, its unit is not',
  too_many_devices: 'more devices than max_devices allows',
  too_many_metrics: 'more metrics than max_metrics allows',
  row_refused: 'the store refused the row',
};

/** Why a message can't be used. */
export function reasonText(reason) {
  return REASONS[reason] ?? plain(reason);
}
