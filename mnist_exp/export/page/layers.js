// The layers of a network. A value is { height, width, channels, data }: data is a Float32Array, row by row, channels last.
// A layer is a function of its description (settings and weights) and its inputs. LAYERS has one for each `kind`.
const LAYERS = (() => {
  const value = (height, width, channels) => ({ height, width, channels, data: new Float32Array(height * width * channels) })
  const like = one => value(one.height, one.width, one.channels)

  // Abramowitz and Stegun, 7.1.26: within 1.5e-7 of the error function.
  function erf(x) {
    const t = 1 / (1 + 0.3275911 * Math.abs(x))
    const sum = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
    return Math.sign(x) * (1 - sum * Math.exp(-x * x))
  }
  const sigmoid = x => 1 / (1 + Math.exp(-x))
  const SELU_SCALE = 1.0507009873554805, SELU_ALPHA = 1.6732632423543772
  const FUNCTIONS = {
    relu: x => (x > 0 ? x : 0),
    elu: x => (x > 0 ? x : Math.expm1(x)),
    gelu: x => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
    leaky_relu: x => (x > 0 ? x : 0.2 * x),
    selu: x => SELU_SCALE * (x > 0 ? x : SELU_ALPHA * Math.expm1(x)),
    sigmoid,
    silu: x => x * sigmoid(x),
    tanh: Math.tanh,
  }

  // Changes the data in place.
  function activate(data, name) {
    if (name === 'linear') return
    if (name === 'softmax') return softmax(data)
    const apply = FUNCTIONS[name]
    for (let i = 0; i < data.length; i++) data[i] = apply(data[i])
  }

  function softmax(data) {
    let largest = -Infinity, sum = 0
    for (const logit of data) largest = Math.max(largest, logit)
    for (let i = 0; i < data.length; i++) sum += data[i] = Math.exp(data[i] - largest)
    for (let i = 0; i < data.length; i++) data[i] /= sum
  }

  // The products of each patch with each filter, both of `size` numbers in a row. Four filters and two patches at a time:
  // each number that is read is then used in several products.
  function products(patches, count, size, weights, bias, filters, out, start) {
    let f = 0
    for (; f + 4 <= filters; f += 4) {
      const w0 = f * size, w1 = w0 + size, w2 = w1 + size, w3 = w2 + size
      let p = 0
      for (; p + 2 <= count; p += 2) {
        const p0 = p * size, p1 = p0 + size
        let a0 = bias[f], a1 = bias[f + 1], a2 = bias[f + 2], a3 = bias[f + 3], b0 = a0, b1 = a1, b2 = a2, b3 = a3
        for (let i = 0; i < size; i++) {
          const x = patches[p0 + i], y = patches[p1 + i]
          const v0 = weights[w0 + i], v1 = weights[w1 + i], v2 = weights[w2 + i], v3 = weights[w3 + i]
          a0 += x * v0; a1 += x * v1; a2 += x * v2; a3 += x * v3
          b0 += y * v0; b1 += y * v1; b2 += y * v2; b3 += y * v3
        }
        const at = start + p * filters + f, next = at + filters
        out[at] = a0; out[at + 1] = a1; out[at + 2] = a2; out[at + 3] = a3
        out[next] = b0; out[next + 1] = b1; out[next + 2] = b2; out[next + 3] = b3
      }
      for (; p < count; p++)
        for (let g = f; g < f + 4; g++) out[start + p * filters + g] = product(patches, p * size, weights, g * size, size, bias[g])
    }
    for (; f < filters; f++)
      for (let p = 0; p < count; p++) out[start + p * filters + f] = product(patches, p * size, weights, f * size, size, bias[f])
  }

  function product(one, from, other, place, size, sum) {
    for (let i = 0; i < size; i++) sum += one[from + i] * other[place + i]
    return sum
  }

  function conv({ kernel, bias, size: [down, across], strides: [rowStride, columnStride], same, filters, activation }, x) {
    const { height, width, channels, data } = x
    const extent = (length, side, stride) => (same ? Math.ceil(length / stride) : Math.floor((length - side) / stride) + 1)
    // With `same`, zeros around the image; an odd one is at the bottom or at the right, as in TensorFlow.
    const before = (length, side, stride, count) => (same ? Math.max((count - 1) * stride + side - length, 0) >> 1 : 0)
    const rows = extent(height, down, rowStride), columns = extent(width, across, columnStride)
    const top = before(height, down, rowStride, rows), left = before(width, across, columnStride, columns)
    const out = value(rows, columns, filters), length = down * across * channels
    const patches = new Float32Array(columns * length) // of one row of the result
    for (let row = 0; row < rows; row++) {
      if (same) patches.fill(0)
      const y0 = row * rowStride - top, lastRow = Math.min(down, height - y0)
      for (let column = 0; column < columns; column++) {
        const x0 = column * columnStride - left
        const first = Math.max(-x0, 0) * channels, last = Math.min(width - x0, across) * channels
        for (let i = Math.max(-y0, 0); i < lastRow; i++) {
          const to = column * length + i * across * channels, from = ((y0 + i) * width + x0) * channels
          for (let k = first; k < last; k++) patches[to + k] = data[from + k]
        }
      }
      products(patches, columns, length, kernel, bias, filters, out.data, row * columns * filters)
    }
    activate(out.data, activation)
    return out
  }

  function dense({ kernel, bias, units, activation }, { data }) {
    const out = value(1, 1, units)
    products(data, 1, data.length, kernel, bias, units, out.data, 0)
    activate(out.data, activation)
    return out
  }

  // Scaled pixels, and batch normalization: a factor and a summand for each channel, or one for all.
  function scale({ factors, offsets }, x) {
    const out = like(x), n = factors.length
    for (let start = 0; start < x.data.length; start += n)
      for (let c = 0; c < n; c++) out.data[start + c] = x.data[start + c] * factors[c] + offsets[c]
    return out
  }

  function activation({ activation: name }, x) {
    const out = { ...x, data: x.data.slice() }
    activate(out.data, name)
    return out
  }

  // Windows that do not overlap; what is left at the right and at the bottom is ignored.
  function pool({ size: [down, across], takes }, { height, width, channels, data }) {
    const rows = Math.floor(height / down), columns = Math.floor(width / across), out = value(rows, columns, channels)
    const start = takes === 'max' ? -Infinity : 0, share = 1 / (down * across)
    for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) for (let c = 0; c < channels; c++) {
      let result = start
      for (let y = row * down; y < (row + 1) * down; y++) for (let x = column * across; x < (column + 1) * across; x++) {
        const one = data[(y * width + x) * channels + c]
        result = takes === 'max' ? Math.max(result, one) : result + one
      }
      out.data[(row * columns + column) * channels + c] = takes === 'max' ? result : result * share
    }
    return out
  }

  const global_pool = (_, x) => pool({ size: [x.height, x.width], takes: 'mean' }, x)
  const flatten = (_, { data }) => ({ height: 1, width: 1, channels: data.length, data })

  function sum(_, ...inputs) {
    const out = like(inputs[0])
    for (const { data } of inputs) for (let i = 0; i < data.length; i++) out.data[i] += data[i]
    return out
  }

  function mean(_, ...inputs) {
    const out = like(inputs[0]), { data } = out
    for (let i = 0; i < data.length; i++) data[i] = inputs.reduce((total, one) => total + one.data[i], 0) / inputs.length
    return out
  }

  // Moves the image into a frame of another size, whose top left corner is at (top, left) of the image: zeros are added
  // where the frame is outside, and pixels outside the frame are cut off.
  function frame({ top, left, bottom, right }, x) {
    const out = value(x.height - top - bottom, x.width - left - right, x.channels), n = x.channels
    for (let row = 0; row < out.height; row++) for (let column = 0; column < out.width; column++) {
      const y = row + top, from = column + left
      if (y < 0 || y >= x.height || from < 0 || from >= x.width) continue
      for (let c = 0; c < n; c++) out.data[(row * out.width + column) * n + c] = x.data[(y * x.width + from) * n + c]
    }
    return out
  }

  return { conv, dense, scale, activation, pool, global_pool, flatten, sum, mean, frame, FUNCTIONS }
})()
