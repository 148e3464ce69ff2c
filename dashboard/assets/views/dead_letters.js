// Dead letters: messages that can't be used, with their bytes and why; they can be mended and sent again.

import { get } from '../base/api.js';
import { h, put, setText, title } from '../base/dom.js';
import { counted } from '../base/format.js';
import { keep, trouble } from '../base/keep.js';
import { query, withQuery } from '../base/place.js';
import { showPager } from '../base/table.js';
import { write } from '../base/token.js';
import { reasonText } from '../base/words.js';
import { letter } from './letter.js';

const LIMIT = 50;

export function start(main) {
  const asked = query();
  const offset = Number(asked.offset) || 0;
  const chosen = new Map();
  let key = null;
  const count = h('p', { class: 'count', role: 'status' });
  const list = h('div');
  const pages = h('div');
  const result = h('div', { role: 'status' });
  const send = h('button', { type: 'button', class: 'main', disabled: true, on: { click: sendAgain } }, 'Send the chosen again');
  const all = h('button', { type: 'button', on: { click: chooseAll } }, 'Choose all on this page');
  const reasons = h('nav', { 'aria-label': 'Reasons', class: 'controls' });
  put(
    main,
    title('Dead letters'),
    h(
      'p',
      null,
      "Messages that can't be used are kept here with their bytes and the reason. Mend the cause, choose them, change the text where it needs it, and send them to the topic they came from.",
    ),
    reasons,
    h('div', { class: 'list-head' }, count, all, send),
    result,
    list,
    pages,
  );

  const kept = keep(
    async (signal) => {
      const answer = await get(['dead-letters'], { reason: asked.reason, offset, limit: LIMIT }, signal);
      setText(count, asked.reason ? `${counted(answer.total, 'message')}: ${reasonText(asked.reason)}` : counted(answer.total, 'message'));
      showReasons(answer);
      showPager(pages, offset, LIMIT, answer.total, (to) => withQuery({ offset: to || null }));
      const now = JSON.stringify(answer.letters.map((one) => [one.topic, one.partition, one.offset]));
      // What somebody edits is not taken away by news.
      if (now === key) return;
      if (key !== null && (chosen.size || list.contains(document.activeElement))) return;
      key = now;
      chosen.clear();
      mark();
      put(
        list,
        answer.letters.length
          ? h(
              'ul',
              { class: 'letters' },
              answer.letters.map((one) =>
                letter(one, (edited) => {
                  if (edited) chosen.set(one, edited);
                  else chosen.delete(one);
                  mark();
                }),
              ),
            )
          : h(
              'p',
              { class: 'empty' },
              asked.reason
                ? ['No dead letter has this reason. ', h('a', { href: '/dead-letters' }, 'Show all'), '.']
                : 'There are none: every message could be used.',
            ),
      );
    },
    (error) => trouble(list, error),
  );

  function showReasons(answer) {
    const link = (reason, text) =>
      h(
        'a',
        {
          class: 'button',
          href: withQuery({ reason, offset: null }),
          'aria-current': (asked.reason ?? '') === (reason ?? '') ? 'true' : null,
        },
        text,
      );
    if (reasons.contains(document.activeElement)) return;
    put(
      reasons,
      link(null, 'all'),
      answer.reasons.map((one) => link(one.reason, `${reasonText(one.reason)}: ${one.count.toLocaleString('en')}`)),
    );
  }

  function chooseAll() {
    for (const box of list.querySelectorAll('input[type=checkbox]')) if (!box.checked) box.click();
  }

  function mark() {
    send.disabled = chosen.size === 0;
    setText(send, chosen.size ? `Send ${counted(chosen.size, 'message')} again` : 'Send the chosen again');
  }

  async function sendAgain() {
    put(result, h('p', { class: 'quiet' }, 'Sending …'));
    try {
      const answer = await write(['dead-letters', 'replay'], {
        letters: [...chosen].map(([one, edited]) => ({
          topic: one.topic,
          partition: one.partition,
          offset: one.offset,
          text: edited.text(),
        })),
      });
      put(
        result,
        answer &&
          h(
            'p',
            { class: 'panel done' },
            h('strong', null, `${counted(answer.sent, 'message')} sent again. `),
            'They are read like new ones; the letters here stay as they are.',
          ),
      );
      if (answer) for (const box of list.querySelectorAll('input[type=checkbox]:checked')) box.click();
    } catch (error) {
      trouble(
        result,
        error,
        error.status === 409 && h('p', null, 'From a shell: ', h('code', null, 'dataflow dead-letters replay --to kafka://HOST/TOPIC')),
      );
    }
  }

  return kept;
}
