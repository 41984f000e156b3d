local workplace = require "spec.engine.cli.workplace"

describe("lunette append", function()
  local place

  before_each(function()
    place = workplace.new()
  end)

  local function append(...)
    return place:run { "append", "--stream", "s", "--type", "T", ... }
  end

  it("prints the position of the event", function()
    local code, out, err = append("--data", '{"a":1}')
    assert.same({ 0, "1\n", "" }, { code, out, err })
    assert.equal("s|1|T|{\"a\":1}",
      place:sql("bank.db", "SELECT stream, version, type, data FROM events"))
  end)

  it("prints an object for programs", function()
    local _, out = append("--data", "1", "--json")
    assert.matches('^{"position":"1","version":1,"existed":false,'
      .. '"token":"1%x%x%x%x%x%x%x%x%-0+1"}\n$', out)
  end)

  it("prints the token alone where that is wanted", function()
    local _, json = append("--data", "1", "--json")
    local code, out, err = append("--data", "1", "--token")
    assert.same({ 0, "" }, { code, err })
    local store = json:match '"token":"(1%x+)%-'
    assert.equal(store .. "-" .. ("0"):rep(31) .. "2\n", out)
  end)

  it("stores metadata and an id of one's own, once", function()
    local words = { "--data", "1", "--metadata", '{"by":"me"}', "--id", "e1" }
    append(table.unpack(words))
    words[#words + 1] = "--json"
    local code, out = append(table.unpack(words))
    assert.equal(0, code)
    assert.matches('"existed":true', out, 1, true)
    assert.equal('e1|{"by":"me"}',
      place:sql("bank.db", "SELECT id, metadata FROM events"))
  end)

  it("refuses an empty id, as that of a variable that is not set", function()
    local code, out, err = append("--data", "1", "--id", "")
    assert.same({ 2, "" }, { code, out })
    assert.matches("lunette append: --id is empty", err, 1, true)
    assert.is_nil(io.open(place:path "bank.db"))
  end)

  it("reads the data from standard input", function()
    local code = place:run({ "append", "--stream", "s", "--type", "T",
      "--data", "-" }, { stdin = '{"long": true}\n' })
    assert.equal(0, code)
    assert.equal('{"long": true}',
      place:sql("bank.db", "SELECT trim(data, char(10)) FROM events"))
  end)

  it("refuses a stream at another version and writes nothing", function()
    assert.equal(0, (append("--data", "1", "--expect", "0")))
    local code, out, err = append("--data", "2", "--expect", "0")
    assert.same({ 1, "" }, { code, out })
    assert.equal(
      "lunette append: stream s is at version 1, expected 0\n", err)
    assert.equal("1", place:sql("bank.db", "SELECT count(*) FROM events"))
  end)

  it("says what is wrong with the data", function()
    local code, _, err = append("--data", '{"a":')
    assert.equal(1, code)
    assert.matches("^lunette append: data: invalid JSON at byte %d+: [^\n]+\n$",
      err)
  end)

  it("says which store cannot be opened", function()
    local code, out, err = append("--data", "1", "-e", "sqlite:/no/such/x.db")
    assert.same({ 1, "" }, { code, out })
    assert.matches("/no/such", err, 1, true)
    code, out, err = append("--data", "1", "-e", "oracle:x")
    assert.same({ 1, "" }, { code, out })
    assert.matches('event store "oracle": ', err, 1, true)
  end)

  it("takes a missing option, value or store as misuse", function()
    local code, out, err = append()
    assert.same({ 2, "" }, { code, out })
    assert.matches("lunette append: --data is missing", err, 1, true)
    code, out, err = append("--data", "1", "--expect", "soon")
    assert.same({ 2, "" }, { code, out })
    assert.matches('"soon" is not a whole number from 0', err, 1, true)
    place.env.LUNETTE_EVENTS = false
    code, out, err = append("--data", "1")
    assert.same({ 2, "" }, { code, out })
    assert.matches("LUNETTE_EVENTS", err, 1, true)
  end)
end)
