// Shows the test images of one cell of the confusion matrix: the cell under the pointer, reached with the arrow keys, or pressed.
(() => {
  'use strict'
  const matrix = document.querySelector('.confusion')
  const panel = document.getElementById('cell-images')
  const status = panel.querySelector('[role=status]')
  const list = panel.querySelector('ul')
  const blank = document.getElementById('sample').content.firstElementChild
  const { columns, most, images, raters } = JSON.parse(document.getElementById('samples').textContent)
  const names = [...matrix.tHead.rows[0].cells].slice(1).map(cell => cell.querySelector('[title]')?.title ?? cell.textContent)
  const buttons = new Map() // by row and column; only cells with images have one
  let shown, focusable, pinned

  const item = (place, [index, , , percent]) => {
    const element = blank.cloneNode(true)
    const sample = element.querySelector('.sample')
    sample.ariaLabel = sample.title = `test image ${index}`
    sample.style.setProperty('--row', Math.floor(place / columns))
    sample.style.setProperty('--column', place % columns)
    const caption = element.querySelector('figcaption')
    caption.append(`${percent.toFixed(1)} %`)
    if (index in raters) {
      element.className = 'mislabelled'
      caption.append(document.createElement('small'))
      caption.lastChild.textContent = `raters: ${raters[index]}`
    }
    return element
  }
  const show = button => {
    if (button === shown) return
    shown?.parentNode.classList.remove('shown')
    button.parentNode.classList.add('shown')
    shown = button
    const { label, predicted, count } = button.dataset
    const items = images.flatMap((image, place) => image[1] === Number(label) && image[2] === Number(predicted) ? [item(place, image)] : [])
    const some = items.slice(0, most)
    status.textContent = button.ariaLabel + (some.length < count ? `, the ${some.length} most confident of them` : '')
    list.replaceChildren(...some)
  }
  const makeFocusable = button => { // the Tab key reaches one cell of the matrix, the arrow keys the others
    if (focusable) focusable.tabIndex = -1
    button.tabIndex = 0
    focusable = button
  }
  const pin = button => { // a pinned cell stays shown wherever the pointer is
    if (pinned) pinned.ariaPressed = 'false'
    if (button) button.ariaPressed = 'true'
    pinned = button
  }

  ;[...matrix.tBodies[0].rows].forEach((row, label) => [...row.cells].slice(1).forEach((cell, predicted) => {
    const text = cell.textContent
    if (text === '0') return
    const button = document.createElement('button')
    button.type = 'button'
    button.tabIndex = -1
    button.ariaPressed = 'false'
    button.ariaLabel = `${names[label]} ${label === predicted ? 'recognised' : `taken for ${names[predicted]}`}: ${text} image${text === '1' ? '' : 's'}`
    Object.assign(button.dataset, { label, predicted, count: text.replaceAll(',', '') })
    button.append(...cell.childNodes)
    cell.append(button)
    buttons.set(`${label} ${predicted}`, button)
    cell.addEventListener('pointerenter', () => pinned || show(button))
    button.addEventListener('focus', () => { pin(null); makeFocusable(button); show(button) })
    button.addEventListener('click', () => pin(pinned === button ? null : button))
  }))
  const directions = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }
  matrix.setAttribute('role', 'grid')
  matrix.addEventListener('keydown', event => {
    if (event.key === 'Escape') pin(null)
    if (!(event.key in directions) || !event.target.dataset.count) return
    event.preventDefault()
    const [down, right] = directions[event.key]
    let [label, predicted, next] = [Number(event.target.dataset.label), Number(event.target.dataset.predicted)]
    do {
      label += down
      predicted += right
      next = buttons.get(`${label} ${predicted}`)
    } while (!next && label in names && predicted in names)
    next?.focus()
  })

  const mistakes = ({ dataset }) => dataset.label === dataset.predicted ? 0 : Number(dataset.count)
  const first = [...buttons.values()].reduce((one, other) => mistakes(other) > mistakes(one) ? other : one)
  makeFocusable(first)
  show(first)
  panel.hidden = false
})()
