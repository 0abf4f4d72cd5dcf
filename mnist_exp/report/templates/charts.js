// Replaces the static charts by interactive ones; a chart that fails stays static.
(async () => {
  'use strict'
  const { config, charts, data } = JSON.parse(document.getElementById('charts').textContent)
  const views = []
  const buttons = [...document.querySelectorAll('.legend button')]

  const select = (label, section) => { // in the charts of the legend's section, and in those without a legend
    const isSelected = element => element.closest('section') === section
    for (const [view, place] of views) view.signal('selected', isSelected(place) || !place.closest('section').querySelector('.legend') ? label : null).runAsync()
    for (const button of buttons) button.ariaPressed = String(button.value === label && isSelected(button))
  }
  for (const button of buttons) {
    button.disabled = false
    button.addEventListener('click', () => select(button.ariaPressed === 'true' ? null : button.value, button.closest('section')))
  }
  document.addEventListener('keydown', event => { if (event.key === 'Escape') select(null) })

  const formatTooltip = (value, sanitize) => typeof value !== 'object' ? sanitize(value)
    : `<table>${Object.entries(value).filter(([, entry]) => !['null', '', undefined].includes(entry))
      .map(([key, entry]) => `<tr><th>${sanitize(key)}<td>${sanitize(String(entry))}`).join('')}</table>`
  const options = {
    actions: false,
    ast: true, // expressions are interpreted: the page's policy forbids code made from text
    config,
    defaultStyle: false,
    mode: 'vega-lite',
    renderer: 'svg',
    tooltip: { disableDefaultStyle: true, formatTooltip },
  }
  const responsive = { width: 'container', autosize: { type: 'fit-x', contains: 'padding' } }

  for (const [name, { table, spec }] of Object.entries(charts)) {
    const image = document.getElementById(`chart-${name}`)
    const interactive = document.createElement('div')
    interactive.className = 'interactive hidden'
    image.before(interactive)
    try {
      const { view } = await vegaEmbed(interactive, { ...spec, ...responsive, data: { values: data[table] } }, options)
      views.push([view, interactive])
      image.remove()
      interactive.classList.remove('hidden')
    } catch {
      interactive.remove()
    }
  }
  document.documentElement.dataset.charts = 'ready'
})()
