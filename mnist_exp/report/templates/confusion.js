// Shows the images behind a cell of the confusion matrix: the one that is pointed at, walked to with the arrow keys, or pressed.
(() => {
  'use strict'
  const matrix = document.querySelector('.confusion')
  const panel = document.getElementById('behind')
  const told = panel.querySelector('[role=status]')
  const list = panel.querySelector('ul')
  const blank = document.getElementById('digit').content.firstElementChild
  const { columns, most, images, raters } = JSON.parse(document.getElementById('digits').textContent)
  const names = [...matrix.tHead.rows[0].cells].slice(1).map(cell => cell.textContent)
  const buttons = new Map() // by the row and column of a cell that has images
  const at = (label, predicted) => buttons.get(`${label} ${predicted}`)
  let [shown, stopped, kept] = [null, null, null]

  const item = (place, index, percent) => {
    const made = blank.cloneNode(true)
    const digit = made.querySelector('.digit')
    digit.setAttribute('aria-label', `test image ${index}`)
    digit.title = `test image ${index}`
    digit.style.setProperty('--row', Math.floor(place / columns))
    digit.style.setProperty('--column', place % columns)
    made.querySelector('figcaption').append(`${percent.toFixed(1)} %`)
    if (index in raters) {
      made.className = 'mislabelled'
      const answer = document.createElement('small')
      answer.textContent = `raters: ${raters[index]}`
      made.querySelector('figcaption').append(answer)
    }
    return made
  }
  const show = button => {
    if (button === shown) return
    shown?.parentNode.classList.remove('shown')
    button.parentNode.classList.add('shown')
    shown = button
    const { label, predicted, count } = button.dataset
    const found = []
    images.forEach(([index, one, other, percent], place) => {
      if (one === Number(label) && other === Number(predicted) && found.length < most) found.push(item(place, index, percent))
    })
    const part = found.length < Number(count.replaceAll(',', '')) ? `, the ${found.length} most confident of them` : ''
    told.textContent = `${button.ariaLabel}${part}`
    list.replaceChildren(...found)
  }
  const stop = button => { // the Tab key stops at one cell of the matrix; from there the arrow keys lead on
    if (stopped) stopped.tabIndex = -1
    button.tabIndex = 0
    stopped = button
  }
  const keep = button => { // in view, whatever is pointed at
    kept?.setAttribute('aria-pressed', 'false')
    button?.setAttribute('aria-pressed', 'true')
    kept = button
  }

  ;[...matrix.tBodies[0].rows].forEach((row, label) => [...row.cells].slice(1).forEach((cell, predicted) => {
    const count = cell.textContent
    if (count === '0') return
    const button = document.createElement('button')
    button.type = 'button'
    button.tabIndex = -1
    button.ariaPressed = 'false'
    button.ariaLabel = `${names[label]} ${label === predicted ? 'recognised' : `taken for ${names[predicted]}`}: ${count} image${count === '1' ? '' : 's'}`
    Object.assign(button.dataset, { label, predicted, count })
    button.append(...cell.childNodes)
    cell.append(button)
    buttons.set(`${label} ${predicted}`, button)
    cell.addEventListener('pointerenter', () => kept || show(button))
    button.addEventListener('focus', () => { keep(null); stop(button); show(button) })
    button.addEventListener('click', () => keep(kept === button ? null : button))
  }))
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }
  matrix.setAttribute('role', 'grid')
  matrix.addEventListener('keydown', event => {
    if (event.key === 'Escape') keep(null)
    const step = steps[event.key]
    if (!step || !event.target.dataset.count) return
    event.preventDefault()
    let [label, predicted] = [Number(event.target.dataset.label), Number(event.target.dataset.predicted)]
    do {
      label += step[0]
      predicted += step[1]
    } while (!at(label, predicted) && label in names && predicted in names)
    at(label, predicted)?.focus()
  })

  const size = button => Number(button.dataset.label === button.dataset.predicted ? 0 : button.dataset.count.replaceAll(',', ''))
  const first = [...buttons.values()].reduce((one, other) => size(other) > size(one) ? other : one)
  stop(first)
  show(first)
  panel.hidden = false
})()
