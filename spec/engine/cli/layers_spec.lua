local helper = require "spec.helper"
local workplace = require "spec.engine.cli.workplace"

local append = { "append", "--stream", "s", "--type", "T", "--data", "1" }

local function with(...)
  local words = { table.unpack(append) }
  for _, word in ipairs { ... } do
    words[#words + 1] = word
  end
  return words
end

describe("settings", function()
  local place

  before_each(function()
    place = workplace.new()
    place.env = {}
  end)

  local function written(name)
    local file = io.open(place:path(name))
    if file then
      file:close()
    end
    return file ~= nil
  end

  it("come from lunette.lua in the folder", function()
    place:write("lunette.lua", 'return { events = "sqlite:file.db" }')
    place:done(append)
    assert.is_true(written "file.db")
  end)

  it("come from the environment before the file", function()
    place:write("lunette.lua", 'return { events = "sqlite:file.db" }')
    place.env.LUNETTE_EVENTS = "sqlite:environment.db"
    place:done(append)
    assert.is_true(written "environment.db")
    assert.is_false(written "file.db")
  end)

  it("come from flags before the environment", function()
    place.env.LUNETTE_EVENTS = "sqlite:environment.db"
    place:done(with("--events", "sqlite:flag.db"))
    assert.is_true(written "flag.db")
    assert.is_false(written "environment.db")
  end)

  it("come from the file that is named", function()
    place:write("lunette.lua", 'return { events = "sqlite:file.db" }')
    place:write("other.lua", 'return { events = "sqlite:other.db" }')
    place:done(with("-c", "other.lua"))
    place.env.LUNETTE_CONFIG = "other.lua"
    place:done(append)
    assert.is_true(written "other.db")
    assert.is_false(written "file.db")
  end)

  it("name the places of scripts", function()
    place.env.LUNETTE_EVENTS = "memory:"
    place:counter()
    place:write("more.lua", "return { version = 1 }")
    place:write("lunette.lua",
      'return { projections = { "projections", "more.lua" } }')
    local code, out, err = place:run { "check" }
    assert.equal(1, code)
    assert.matches("counter version 1", out, 1, true)
    assert.matches("more.lua: name", err, 1, true)
    assert.equal(0, (place:run { "check", "-p", "projections" }))
    place.env.LUNETTE_PROJECTIONS = "projections:projections/counter.lua"
    assert.equal(2, select(2,
      place:done({ "check" }):gsub("counter version 1", "")))
  end)

  it("have paths that count from the folder of their file", function()
    helper.mkdir(place:path "conf")
    place:counter()
    helper.mkdir(place:path "conf/scripts")
    place:write("conf/scripts/counter.lua",
      place:read "projections/counter.lua")
    place:write("conf/lunette.lua", [[return { events = "sqlite:e.db",
      models = "sqlite:]] .. place.folder .. [[/m.db",
      projections = { "scripts" } }]])
    place:done { "append", "-c", "conf/lunette.lua", "--stream", "s", "--type",
      "Counted", "--data", '{"id":"a","n":1}' }
    assert.is_true(written "conf/e.db")
    assert.is_false(written "e.db")
    place.env.LUNETTE_CONFIG = place.folder .. "/conf/lunette.lua"
    place:done { "run", "--once" }
    assert.is_true(written "m.db")
    assert.matches("counter version 1", place:done { "check" }, 1, true)
    -- Those of the environment and of flags count from the current one.
    place.env.LUNETTE_MODELS = "sqlite:here.db"
    place:done { "run", "--once", "-p", "projections", "-e",
      "sqlite:conf/e.db" }
    assert.is_true(written "here.db")
    helper.mkdir(place:path "a?b&c=%41")
    place:write("a?b&c=%41/lunette.lua", 'return { events = "sqlite:e.db" }')
    place:done { "append", "-c", "a?b&c=%41/lunette.lua", "--stream", "s",
      "--type", "T", "--data", "1" }
    assert.is_true(written "a?b&c=%41/e.db")
    place:write("lunette.lua", 'return { events = "memory:" }')
    place.env.LUNETTE_CONFIG = nil
    place.env.LUNETTE_MODELS = "memory:"
    place:done { "run", "--once" }
  end)

  it("may begin with a byte order mark, but are UTF-8", function()
    local text = 'return { events = "sqlite:file.db" }'
    place:write("lunette.lua", "\u{feff}" .. text)
    place:done(append)
    assert.is_true(written "file.db")
    place:write("lunette.lua", "\xfe\xff" .. text:gsub(".", "\0%0"))
    local code, _, err = place:run(append)
    assert.equal(1, code)
    assert.matches("lunette.lua: is UTF-16", err, 1, true)
  end)

  it("are not passed over where lunette.lua leads nowhere", function()
    helper.run({ "ln", "-s", "nowhere.lua", "lunette.lua" },
      { cwd = place.folder })
    place.env.LUNETTE_EVENTS = "sqlite:environment.db"
    local code, _, err = place:run(append)
    assert.equal(1, code)
    assert.matches("lunette.lua: No such file", err, 1, true)
    assert.is_false(written "environment.db")
  end)

  it("say where a wrong one is", function()
    local code, _, err = place:run(with("-c", "absent.lua"))
    assert.equal(1, code)
    assert.matches("absent.lua", err, 1, true)
    place:write("lunette.lua", 'return { evnts = "sqlite:file.db" }')
    code, _, err = place:run(append)
    assert.equal(1, code)
    assert.matches('lunette.lua: there is no setting "evnts"; did you mean '
      .. '"events"?', err, 1, true)
    place:write("lunette.lua", 'return { projection = "scripts" }')
    code, _, err = place:run(append)
    assert.equal(1, code)
    assert.matches('"projection"; did you mean "projections"?', err, 1, true)
    place:write("lunette.lua", "return { busy_timeout_ms = -1 }")
    code, _, err = place:run(append)
    assert.equal(1, code)
    assert.matches("lunette.lua: setting busy_timeout_ms", err, 1, true)
    place:write("lunette.lua", "return {")
    code, _, err = place:run(append)
    assert.equal(1, code)
    assert.matches("lunette.lua:1: ", err, 1, true)
    place:write("lunette.lua", "return {}")
    place.env.LUNETTE_SYNCHRONOUS = "perhaps"
    code, _, err = place:run(append)
    assert.equal(1, code)
    assert.matches("LUNETTE_SYNCHRONOUS: ", err, 1, true)
  end)

  it("are refused everywhere if they are gone", function()
    local function refuses(status, argv)
      local code, _, err = place:run(argv)
      assert.equal(status, code)
      assert.matches('no setting "cache_bytes" any more: memory_bytes', err, 1,
        true)
      assert.is_false(written "given.db")
    end
    place.env.LUNETTE_EVENTS = "sqlite:given.db"
    refuses(2, with("--cache-bytes", "5"))
    place.env.LUNETTE_CACHE_BYTES = "5"
    refuses(1, append)
    place.env.LUNETTE_CACHE_BYTES = nil
    place:write("lunette.lua", "return { cache_bytes = 5 }")
    refuses(1, append)
  end)

  it("are warned of in the environment if they are none", function()
    place.env.LUNETTE_EVENTS = "memory:"
    place.env.LUNETTE_PROJECTIONS = "projections"
    place.env.LUNETTE_BATCH_EVENT = "5"
    place.env.LUNETTE_PROJECTION = "projections"
    place.env.LUNETTE_WHATEVER = "5"
    place.env.LUNETTE_EMPTY = ""
    local code, out, err = place:run(append)
    assert.same({ 0, "1\n" }, { code, out })
    local lines = {}
    for line in err:gmatch "[^\n]+" do
      lines[#lines + 1] = line
    end
    table.sort(lines)
    assert.same({
      "lunette: LUNETTE_BATCH_EVENT in the environment is no setting; did you "
        .. "mean LUNETTE_BATCH_EVENTS?",
      "lunette: LUNETTE_PROJECTION in the environment is no setting; did you "
        .. "mean LUNETTE_PROJECTIONS?",
      "lunette: LUNETTE_WHATEVER in the environment is no setting: "
        .. '"lunette --help" lists them all',
    }, lines)
    assert.equal("", select(3, place:run(with("--log-level", "error"))))
  end)

  it("do not show passwords", function()
    local url = "sql://ada:secret@host/db"
    local code, _, err = place:run { "run", "-p", url, "-e", "memory:", "-m",
      "memory:" }
    assert.equal(1, code)
    assert.is_nil(err:find("secret", 1, true))
    assert.matches("sql://ada:***@host/db: No such file", err, 1, true)
  end)
end)
