// Writing with a token: asked for in a dialog when the server wants one, then tried again; kept for this tab only.

import { keepToken, post, Problem, readToken } from './api.js';
import { ask } from './dialog.js';
import { freshId, h } from './dom.js';

/**
 * Writes; where the server answers 401 or 403 it asks the person for a token and tries again.
 * @returns the server's answer, or `null` where the person gave up
 * @throws {Problem} anything else
 */
export async function write(segments, body) {
  for (;;) {
    try {
      return await post(segments, body);
    } catch (error) {
      if (!(error instanceof Problem) || ![401, 403].includes(error.status)) throw error;
      if (!(await askToken(error))) return null;
    }
  }
}

async function askToken(problem) {
  const field = h('input', { type: 'password', id: freshId('token'), autocomplete: 'off', required: true });
  const tried = readToken();
  keepToken(null);
  const answer = await ask('The server wants a token for that', 'Use it', (form) => {
    form.append(
      h('p', { class: 'panel problem' }, problem.message),
      tried && h('p', null, 'The token that was given before was not accepted.'),
      h('div', { class: 'field' }, h('label', { for: field.id }, 'Token'), field),
      h('p', { class: 'hint' }, 'It is the setting http_token of the server. It is kept in this tab until you close it.'),
    );
  });
  if (!answer) return false;
  keepToken(field.value.trim());
  return true;
}
