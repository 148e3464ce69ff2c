// One moment of a device: why it was judged so, and the earlier states most like it side by side, with what became of them.

import { get, waitOut } from '../base/api.js';
import { answered } from '../base/connection.js';
import { h, name, put, section, setText } from '../base/dom.js';
import { decimalsOf, fromInput, number, time, timeText, toInput } from '../base/format.js';
import { trouble } from '../base/keep.js';
import { table } from '../base/table.js';
import { plain } from '../base/words.js';
import { became, explained, isApart } from './moment_parts.js';
import { boxes } from './peer_boxes.js';

/**
 * @param {string} id
 * @param {(ms: number) => void} picked
 */
export function moment(id, picked) {
  let known = null;
  let asked = null;
  let shownMs = null;
  const again = () => show(shownMs, false);
  const field = h('input', { type: 'datetime-local', id: 'moment-at', required: true });
  const result = h('div', { 'aria-live': 'off' });
  const status = h('p', { class: 'hint', role: 'status' }, 'Click a chart at any time, or give a time here.');
  const form = h(
    'form',
    {
      class: 'controls',
      on: {
        submit: (event) => {
          event.preventDefault();
          const ms = fromInput(field.value);
          if (ms !== null) picked(ms);
        },
      },
    },
    h('div', { class: 'field' }, h('label', { for: 'moment-at' }, 'Time'), field),
    h('button', { type: 'submit' }, 'Compare'),
    status,
  );
  const element = section('One moment: why, and what was like it', { id: 'moment', tabindex: '-1' }, form, result);

  async function show(ms, scroll) {
    shownMs = ms;
    field.value = toInput(ms);
    asked?.abort();
    const mine = (asked = new AbortController());
    setText(status, `Asking about ${timeText(ms)} …`);
    if (scroll)
      element.scrollIntoView({ behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth', block: 'start' });
    const ask = (what, query) => get(['devices', id, what], { at_ms: Math.round(ms), ...query }, mine.signal);
    const [why, like] = await Promise.allSettled([ask('explain'), ask('similar', { limit: 3 })]);
    if (mine.signal.aborted) return;
    for (const failure of [why, like]) {
      if (failure.status === 'rejected' && waitOut(failure.reason, again)) return;
    }
    answered(again);
    setText(status, `As of ${timeText(ms)}.`);
    const reasons = h('div');
    const states = h('div');
    put(result, h('h3', null, 'Why it was judged so'), reasons, h('h3', null, 'Earlier states most like it'), states);
    if (why.status === 'fulfilled') put(reasons, explained(why.value), peers(why.value));
    else trouble(reasons, why.reason);
    if (like.status === 'fulfilled') put(states, similar(like.value));
    else trouble(states, like.reason);
  }

  /** How the metrics that findings are about stood to the device's peers. */
  function peers(answer) {
    const compared = (answer.verdicts ?? []).flatMap((verdict) => verdict.compared ?? []);
    if (!compared.length) return null;
    const label = (metric) => known?.metrics.find((one) => one.name === metric)?.label ?? plain(metric);
    return [
      h('h3', null, 'Against its peers'),
      boxes(
        compared.map(({ metric, unit, observed, peers_ms: at, peers: all }) => ({
          metric,
          label: label(metric),
          unit,
          at_ms: at,
          value: observed,
          count: all.devices,
          min: all.lowest,
          low: all.lower,
          median: all.median,
          high: all.upper,
          max: all.highest,
        })),
      ),
    ];
  }

  function similar(answer) {
    if (!answer.states.length) return h('p', { class: 'empty' }, answer.note ?? 'There are no earlier states like it.');
    const labels = new Map((known?.metrics ?? []).map((metric) => [metric.name, metric]));
    const order = [...labels.keys()].filter((metric) => metric in answer.metrics);
    const names = [...order, ...Object.keys(answer.metrics).filter((metric) => !labels.has(metric))];
    const now = (metric) => answer.metrics[metric] ?? null;
    const digits = (metric) => decimalsOf([now(metric), ...answer.states.map((state) => state.metrics[metric] ?? null)]);
    return [
      answer.note && h('p', { class: 'hint' }, answer.note),
      table(
        'Side by side',
        [
          { label: 'Metric', head: true, cell: (metric) => name(labels.get(metric)?.label ?? plain(metric)) },
          { label: ['This moment', h('br'), time(answer.at_ms)], numeric: true, cell: (metric) => number(now(metric), digits(metric)) },
          ...answer.states.map((state) => ({
            label: [time(state.at_ms), h('br'), `alike: ${number(state.cosine, 3)}`],
            numeric: true,
            cell: (metric) => {
              const then = state.metrics[metric] ?? null;
              const apart = isApart(now(metric), then);
              const arrow = h('span', { class: 'arrow' }, !apart ? '' : then > now(metric) ? '↑' : '↓');
              return h('span', { class: apart && 'differs' }, number(then, digits(metric)), arrow);
            },
          })),
          { label: 'Unit', cell: (metric) => name(labels.get(metric)?.unit ?? '') },
        ],
        names,
        { quiet: true },
      ),
      h(
        'p',
        { class: 'hint' },
        `Alike: cosine from -1 to 1, where 1 is the same (${plain(answer.method)}). Arrows and bold mark what was more than a tenth higher or lower then.`,
      ),
      h('h3', null, 'What became of them'),
      h(
        'ul',
        { class: 'findings' },
        answer.states.map((state) => h('li', null, time(state.at_ms), ': ', became(state.became))),
      ),
    ];
  }

  return { element, show, know: (device) => (known = device) };
}
