// The page: what the user draws, clicks or drops becomes an image, and the image an answer.
{
  const QUIET = 600 // milliseconds without a change, after which the answer is spoken
  const WARM_UP = 60 // milliseconds
  const MAX_BARS = 12
  const MAX_PHOTO = 1000 // pixels of the longer side, to which a photo is reduced
  const byId = id => document.getElementById(id)
  const page = JSON.parse(byId('page').textContent)
  const [height, width, channels] = page.shape
  const model = NETWORK.load(page.network, page.weights), pixels = NETWORK.bytes(page.pixels)
  const setBars = VIEW.createBars(byId('bars'), page.names, MAX_BARS)
  const blank = { height, width, channels, data: new Uint8Array(height * width * channels) }
  let shown = null // { image, probabilities, layers, truth } of the last answer
  let quiet = 0

  const imageOf = data => ({ height, width, channels, data })
  const answerer = createAnswerer(model, answer => { shown = answer; show() })
  const ask = (image, truth = null) => answerer.ask({ image, truth })
  const sample = place => imageOf(pixels.subarray(place * blank.data.length, (place + 1) * blank.data.length))

  function forget() {
    answerer.cancel()
    shown = null
    show()
  }

  const decided = result => DECISION.decide(NORMALIZATION.isFlat(result.image)
    ? { ...result, strangeness: Infinity } : result, page.calibration)

  function show() {
    const answer = shown && decided(shown)
    const names = answer ? answer.classes.map(k => page.names[k]) : []
    const text = !answer ? '–' : answer.isStrange ? 'not a digit' : answer.isSure ? names[0] : 'unsure'
    byId('answer').textContent = text
    byId('answer').classList.toggle('long', text.length > 3)
    byId('answer').classList.toggle('doubt', Boolean(answer) && !answer.isSure)
    byId('verdict').textContent = answer ? DECISION.words(answer, names) : page.hint
    byId('truth').textContent = shown?.truth == null ? '' : `label of the test image: ${page.names[shown.truth]}`
    byId('time').textContent = shown ? `Answered in ${shown.milliseconds.toFixed(1)} ms by this page.` : ''
    byId('inside').hidden = !shown
    setBars(answer?.probabilities, answer?.classes ?? [])
    VIEW.drawImage(byId('seen'), shown?.image ?? blank, page.isInk)
    if (shown) VIEW.showLayers(byId('layers'), shown.layers)
    document.documentElement.dataset.answer = text
    clearTimeout(quiet)
    if (answer) quiet = setTimeout(() => say(`${text}. ${byId('verdict').textContent}`), QUIET)
  }

  function say(text) {
    byId('spoken').textContent = text
  }

  const chosen = new Set() // buttons of the present image
  function press(button) {
    for (const one of chosen) one.setAttribute('aria-pressed', 'false')
    chosen.clear()
    if (button) chosen.add(button)
    button?.setAttribute('aria-pressed', 'true')
  }

  // ---- Drawing

  const pad = byId('pad')
  let pen = null, photo = null
  const refresh = () => {
    byId('undo').disabled = !pen.canUndo()
    byId('hint').hidden = !pen.isEmpty() || photo !== null
  }

  function drawn() {
    press(null)
    dropPhoto()
    if (pen.isEmpty()) forget()
    else ask(imageOf(NORMALIZATION.normalize(pen.ink())))
  }

  function dropPhoto() {
    photo = null
    byId('photo').hidden = true
    byId('found').replaceChildren()
    refresh()
  }

  let isScheduled = false
  function changed() {
    if (isScheduled) return
    isScheduled = true
    requestAnimationFrame(() => { isScheduled = false; drawn() })
  }

  function fitPad() {
    const side = Math.round(pad.getBoundingClientRect().width * devicePixelRatio)
    if (side && side !== pad.width) pad.width = pad.height = side
    pen.show()
  }

  if (pad) {
    pen = createPen(pad, { changed, say, width: () => byId('pen').value / 100 })
    byId('undo').addEventListener('click', pen.undo)
    byId('clear').addEventListener('click', pen.clear)
    addEventListener('keydown', event => {
      if ((event.ctrlKey || event.metaKey) && event.key === 'z') { event.preventDefault(); pen.undo() }
    })
    new ResizeObserver(fitPad).observe(pad)
    refresh()
  }

  // ---- Photos

  async function open(file) {
    let picture
    try {
      picture = await createImageBitmap(file)
    } catch {
      say(byId('verdict').textContent = `${file.name} is not a picture that this browser can read.`)
      return
    }
    const scale = Math.min(MAX_PHOTO / Math.max(picture.width, picture.height), 1), canvas = byId('photo')
    canvas.width = Math.max(Math.round(picture.width * scale), 1)
    canvas.height = Math.max(Math.round(picture.height * scale), 1)
    if (pad) readDigits(picture, canvas)
    else readWhole(picture, canvas)
  }

  // Draws a picture on white paper; returns its pixels.
  function paint(picture, canvas) {
    const context = canvas.getContext('2d', { willReadFrequently: true })
    Object.assign(context, { fillStyle: '#fff', imageSmoothingQuality: 'high' })
    context.fillRect(0, 0, canvas.width, canvas.height)
    context.drawImage(picture, 0, 0, canvas.width, canvas.height)
    return context.getImageData(0, 0, canvas.width, canvas.height)
  }

  async function readDigits(picture, canvas) {
    const digits = PHOTO.digits(PHOTO.grey(paint(picture, canvas)))
    pen.wipe()
    photo = picture
    canvas.hidden = false
    refresh()
    const context = canvas.getContext('2d')
    Object.assign(context, { strokeStyle: '#2f64ad', lineWidth: Math.max(canvas.width, canvas.height) / 200 })
    const buttons = []
    for (const { box, ink } of digits) {
      context.strokeRect(box.left - 4, box.top - 4, box.width + 8, box.height + 8)
      const image = imageOf(NORMALIZATION.normalize(ink))
      const record = NETWORK.newRecord(), probabilities = NETWORK.probabilities(model, image, record)
      const answer = decided({ image, probabilities, strangeness: NETWORK.strangeness(model, record) })
      buttons.push(imageButton(image, [answer.isSure ? page.names[answer.classes[0]] : '?'], null))
      await new Promise(resolve => setTimeout(resolve)) // a slow network leaves the page time
      if (photo !== picture) return // something else was drawn or opened meanwhile
    }
    byId('found').replaceChildren(...buttons)
    for (const button of buttons) button.repaint()
    VIEW.addArrows(byId('found'))
    if (buttons.length) buttons[0].click()
    else {
      forget()
      say(byId('verdict').textContent = 'No ink was found in the picture.')
    }
  }

  // Of sets without handwriting: the whole picture in the middle of an image of the set.
  function readWhole(picture, canvas) {
    const scale = Math.min(width / picture.width, height / picture.height)
    const fitted = Object.assign(document.createElement('canvas'), {
      width: Math.max(Math.round(picture.width * scale), 1), height: Math.max(Math.round(picture.height * scale), 1) })
    const found = paint(picture, fitted), level = PHOTO.grey(found).data
    const isInverted = page.isInk && PHOTO.borderLevel(PHOTO.grey(paint(picture, canvas))) > 127
    const image = imageOf(new Uint8Array(blank.data.length))
    const top = (height - fitted.height) >> 1, left = (width - fitted.width) >> 1
    for (let y = 0; y < fitted.height; y++) for (let x = 0; x < fitted.width; x++) for (let c = 0; c < channels; c++) {
      const from = y * fitted.width + x, grey = Math.round(level[from])
      const one = channels === 3 ? found.data[4 * from + c] : isInverted ? 255 - grey : grey
      image.data[((top + y) * width + left + x) * channels + c] = one
    }
    canvas.hidden = false
    press(null)
    ask(image)
  }

  byId('file').addEventListener('change', event => { if (event.target.files[0]) open(event.target.files[0]) })
  addEventListener('dragover', event => event.preventDefault())
  addEventListener('drop', event => {
    event.preventDefault()
    if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0])
  })

  addEventListener('paste', event => { if (event.clipboardData?.files[0]) open(event.clipboardData.files[0]) })

  // ---- Test images

  // A button with an image and names below it; a click asks the network.
  function imageButton(image, names, truth, label = names.join(' ')) {
    const button = document.createElement('button'), canvas = button.appendChild(document.createElement('canvas'))
    button.type = 'button'
    button.setAttribute('aria-pressed', 'false')
    button.setAttribute('aria-label', label)
    button.title = label
    const caption = button.appendChild(document.createElement('span'))
    names.forEach((name, i) => { // a name may be written from right to left
      if (i) caption.append(' → ')
      caption.appendChild(document.createElement('bdi')).textContent = VIEW.shorten(name)
    })
    button.addEventListener('click', () => {
      if (truth !== null && pen) { pen.wipe(); dropPhoto() }
      press(button)
      ask(image, truth)
      byId('answer').parentElement.scrollIntoView({ block: 'nearest' })
    })
    button.repaint = () => VIEW.drawImage(canvas, image, page.isInk)
    return button
  }

  for (const row of document.querySelectorAll('[data-samples]')) {
    for (const place of JSON.parse(row.dataset.samples)) {
      const { index, label, predicted } = page.samples[place], [truth, answer] = [page.names[label], page.names[predicted]]
      const names = label === predicted ? [truth] : [truth, answer]
      row.append(imageButton(sample(place), names, label, `test image ${index}: label ${truth}, answer ${answer}`))
    }
    VIEW.addArrows(row)
  }

  // A browser compiles the layers while they run; so the first answers would be slow.
  function warmUp() {
    const end = performance.now() + WARM_UP
    while (performance.now() < end)
      for (const steps = NETWORK.steps(model, blank); performance.now() < end && !steps.next().done;);
  }

  function repaint() {
    for (const button of document.querySelectorAll('button')) button.repaint?.()
    if (pen) fitPad()
    show()
  }

  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint)
  repaint()
  warmUp()
  document.documentElement.dataset.ready = 'yes'
}
