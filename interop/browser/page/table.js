// SPDX-License-Identifier: Apache-2.0 OR MIT

const number = ms => ms == null ? '' : ms.toFixed(1)
const numbers = list => (list ?? []).map(number).join(', ')

// show adds the row of a case.
export function show (result) {
  const row = document.createElement('tr')
  row.className = result.ok ? 'works' : 'fails'
  let verdict = result.error
  if (result.ok) verdict = result.refused ? 'refused' : 'works'
  const cells = [
    result.name, verdict, number(result.dial_ms), numbers(result.ping_ms), number(result.echo_ms), numbers(result.back_ms),
    result.agent ?? '', result.addr
  ]
  for (const text of cells) row.appendChild(document.createElement('td')).textContent = text
  row.lastChild.className = 'addr'
  document.getElementById('rows').append(row)
}

// showEnd says that all cases have run, and in what.
export function showEnd (results) {
  const good = results.filter(result => result.ok).length
  document.getElementById('about').textContent = `${good} of ${results.length} as wanted, in ${navigator.userAgent}`
}
