// Puts charts that answer in the place of the still ones; a chart that cannot be made stays as it is.
(async () => {
  'use strict'
  const { look, charts, data } = JSON.parse(document.getElementById('charts').textContent)
  const views = []
  const buttons = [...document.querySelectorAll('.legend button')]

  const pick = label => {
    for (const view of views) view.signal('picked', label).runAsync()
    for (const button of buttons) button.setAttribute('aria-pressed', String(button.value === label))
  }
  for (const button of buttons) {
    button.disabled = false
    button.addEventListener('click', () => pick(button.getAttribute('aria-pressed') === 'true' ? null : button.value))
  }
  document.addEventListener('keydown', event => { if (event.key === 'Escape') pick(null) })

  const options = {
    actions: false,
    ast: true, // expressions are interpreted: the page's policy allows no code made of text
    config: look,
    defaultStyle: false,
    mode: 'vega-lite',
    renderer: 'svg',
    tooltip: { disableDefaultStyle: true, formatTooltip: (value, sanitize) => told(value, sanitize) },
  }
  const fitting = { width: 'container', autosize: { type: 'fit-x', contains: 'padding' } }
  const told = (value, sanitize) => typeof value !== 'object' ? sanitize(value)
    : `<table>${Object.entries(value).filter(([, entry]) => entry !== 'null' && entry !== '' && entry !== undefined)
      .map(([key, entry]) => `<tr><th>${sanitize(key)}<td>${sanitize(String(entry))}`).join('')}</table>`

  for (const [name, { table, spec }] of Object.entries(charts)) {
    const still = document.getElementById(`chart-${name}`)
    const live = document.createElement('div')
    live.className = 'live making'
    still.before(live)
    try {
      const { view } = await vegaEmbed(live, { ...spec, ...fitting, data: { values: data[table] } }, options)
      views.push(view)
      still.remove()
      live.classList.remove('making')
    } catch {
      live.remove()
    }
  }
  document.documentElement.dataset.charts = 'ready'
})()
