// A photo → the ink of its digits. The background is the mean of the surroundings, so shadows do no harm; what is much darker
// (or, on a dark background, much lighter) is ink. Connected ink is a digit; lines are read one after the other.
// `mnist-exp predict` does more: it removes ruled lines and divides digits that touch each other.
const PHOTO = (() => {
  const MIN_CONTRAST = 24 // grey values: less is texture of the paper
  const EDGE = 0.6 // of the contrast in the middle between paper and ink: less is paper
  const MAX_DIGITS = 40
  const SPECK = 0.2 // of the height of the tallest ink
  const NEAR = 0.2 // of that height: ink above ink, such as the bar of a 5

  // RGBA bytes → { height, width, data } with grey values, from dark to light.
  function grey({ width, height, data }) {
    const out = new Float32Array(width * height)
    for (let i = 0; i < out.length; i++) out[i] = 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2]
    return { height, width, data: out }
  }

  // The median of the pixels at the border.
  function borderLevel({ height, width, data }) {
    const border = []
    for (let x = 0; x < width; x++) border.push(data[x], data[(height - 1) * width + x])
    for (let y = 0; y < height; y++) border.push(data[y * width], data[y * width + width - 1])
    return border.sort((one, other) => one - other)[border.length >> 1]
  }

  // The mean of the square around each pixel, of side 2 · radius + 1, from sums over all pixels above and to the left.
  function localMeans({ height, width, data }, radius) {
    const sums = new Float64Array((height + 1) * (width + 1)), out = new Float32Array(height * width), line = width + 1
    for (let y = 0; y < height; y++) for (let x = 0, row = 0; x < width; x++) {
      row += data[y * width + x]
      sums[(y + 1) * line + x + 1] = sums[y * line + x + 1] + row
    }
    for (let y = 0; y < height; y++) {
      const y0 = Math.max(y - radius, 0), y1 = Math.min(y + radius + 1, height)
      for (let x = 0; x < width; x++) {
        const x0 = Math.max(x - radius, 0), x1 = Math.min(x + radius + 1, width)
        const sum = sums[y1 * line + x1] - sums[y0 * line + x1] - sums[y1 * line + x0] + sums[y0 * line + x0]
        out[y * width + x] = sum / ((y1 - y0) * (x1 - x0))
      }
    }
    return out
  }

  // The threshold that divides numbers from 0 to 255 into two groups that differ most (Otsu 1979).
  function otsu(numbers) {
    const counts = new Array(256).fill(0)
    for (const number of numbers) counts[Math.max(0, Math.min(255, Math.round(number)))]++
    const all = counts.reduce((sum, count, level) => sum + count * level, 0)
    let below = 0, sum = 0, best = 0, threshold = 0
    counts.forEach((count, level) => {
      below += count; sum += count * level
      const above = numbers.length - below
      if (!below || !above) return
      const spread = below * above * (sum / below - (all - sum) / above) ** 2
      if (spread > best) { best = spread; threshold = level }
    })
    return threshold
  }

  // { height, width, data }: 0 where there is no ink, up to 255 for the darkest.
  function ink(image) {
    const { height, width, data } = image, sign = borderLevel(image) < 128 ? -1 : 1
    const means = localMeans(image, Math.round(Math.max(height, width) / 6))
    const contrast = data.map((level, i) => Math.max(sign * (means[i] - level), 0))
    const middle = Math.max(otsu(contrast), MIN_CONTRAST), least = Math.max(EDGE * middle, MIN_CONTRAST)
    return { height, width, data: Uint8Array.from(contrast, one => (one > least ? Math.min(128 * one / middle, 255) : 0)) }
  }

  // The connected parts of the ink, eight neighbours each: { top, left, bottom, right (the last ones), pixels }.
  function parts({ height, width, data }) {
    const isNew = Uint8Array.from(data, one => (one ? 1 : 0)), found = []
    for (let first = 0; first < isNew.length; first++) {
      if (!isNew[first]) continue
      const part = { top: height, left: width, bottom: 0, right: 0, pixels: [first] }
      isNew[first] = 0
      for (let i = 0; i < part.pixels.length; i++) {
        const y = Math.floor(part.pixels[i] / width), x = part.pixels[i] % width
        part.top = Math.min(part.top, y); part.bottom = Math.max(part.bottom, y)
        part.left = Math.min(part.left, x); part.right = Math.max(part.right, x)
        for (let v = Math.max(y - 1, 0); v <= Math.min(y + 1, height - 1); v++)
          for (let u = Math.max(x - 1, 0); u <= Math.min(x + 1, width - 1); u++)
            if (isNew[v * width + u]) { isNew[v * width + u] = 0; part.pixels.push(v * width + u) }
      }
      found.push(part)
    }
    return found
  }

  const heightOf = part => part.bottom - part.top + 1
  const overlap = (from, to, otherFrom, otherTo) => Math.min(to, otherTo) - Math.max(from, otherFrom) + 1
  const shareOf = (one, other, start, end) =>
    overlap(one[start], one[end], other[start], other[end]) / Math.min(one[end] - one[start] + 1, other[end] - other[start] + 1)

  function joined(one, other) {
    return {
      top: Math.min(one.top, other.top), left: Math.min(one.left, other.left),
      bottom: Math.max(one.bottom, other.bottom), right: Math.max(one.right, other.right),
      pixels: one.pixels.concat(other.pixels),
    }
  }

  // The digits in reading order, each { box: { top, left, height, width }, ink: { height, width, data } }.
  function digits(image) {
    const mask = ink(image), { height, width } = mask, all = parts(mask)
    const isInside = part => part.top > 0 && part.left > 0 && part.bottom < height - 1 && part.right < width - 1
    const inside = all.filter(isInside), used = inside.length ? inside : all // the edge of a sheet is not a digit
    const tallest = Math.max(...used.map(heightOf))
    const large = used.filter(part => Math.max(heightOf(part), part.right - part.left + 1) >= SPECK * tallest)
    const whole = []
    for (let part of large.sort((one, other) => other.pixels.length - one.pixels.length)) {
      for (;;) {
        const near = whole.findIndex(other => shareOf(part, other, 'left', 'right') > 0.5
          && -overlap(part.top, part.bottom, other.top, other.bottom) < NEAR * tallest)
        if (near < 0) break
        part = joined(part, whole.splice(near, 1)[0])
      }
      whole.push(part)
    }
    const lines = []
    for (const part of whole.sort((one, other) => one.top - other.top)) {
      const line = lines.find(parts => parts.some(other => shareOf(part, other, 'top', 'bottom') > 0.5))
      if (line) line.push(part)
      else lines.push([part])
    }
    for (const line of lines) line.sort((one, other) => one.left - other.left)
    return lines.flat().slice(0, MAX_DIGITS).map(part => cut(part, mask))
  }

  function cut({ top, left, bottom, right, pixels }, { width, data: levels }) {
    const box = { top, left, height: bottom - top + 1, width: right - left + 1 }, data = new Uint8Array(box.height * box.width)
    for (const pixel of pixels) data[(Math.floor(pixel / width) - top) * box.width + (pixel % width) - left] = levels[pixel]
    return { box, ink: { height: box.height, width: box.width, data } }
  }

  return { grey, borderLevel, digits }
})()
