-- The process belongs to the host, and so does its locale: whatever it is,
-- scripts, JSON, settings and status come out as in "C".

local helper = require "spec.helper"
local workplace = require "spec.engine.cli.workplace"

local missing = helper.missing "localedef"

-- Decimal commas; an "i" whose capital is another letter; names in one byte.
local locales = {
  { name = "de_DE.UTF-8", source = "de_DE", charmap = "UTF-8" },
  { name = "tr_TR.ISO-8859-9", source = "tr_TR", charmap = "ISO-8859-9" },
}

local script = [[
local function shown(x)
  local words = { "b", "B", "a", "\xe4" }
  table.sort(words)
  return table.concat({
    tostring(x), string.format("%.2f %g %a", x, x, x), ("iI\xfd"):upper(),
    ("iI\xdd"):lower(), ("x\xe4"):gsub("%a", "."), tostring("a" < "B"),
    tostring(tonumber "1.5"), tostring(tonumber "1,5"),
    table.concat(words),
  }, "|"):gsub("[\x80-\xff]", "?")
end
return { name = "p", version = 1,
  fields = { shown = "text", x = "number", half = "number" },
  extract_model_id = function(event) return ("id"):upper() end,
  apply_to_model = function(_, event)
    local text = shown(event.data.x)
    return { x = event.data.x, shown = text, half = 0.5 }
  end,
  handle_query = function(store, query)
    local rows = store:query(query)
    for _, row in ipairs(rows) do
      row.queried = shown(row.x)
    end
    return rows
  end }
]]

-- Prints what must be the same everywhere.
local host = [[
local wanted, source = ...
assert(os.setlocale(wanted))
local inside = string.format("%.1f %s", 1.5, ("i"):upper())
local lunette = require "lunette"
local engine = assert(lunette.open { events = "memory:", models = "memory:",
  live_events = 10.0, stop_ms = "2000" })
assert(engine:register { name = "p", source = source })
local function append(x)
  assert(engine:append { stream = "s", type = "T",
    data = { x = x, tiny = 1.25e-7, ratio = 1 / 3 } })
end
local function say(...)
  for _, value in ipairs { ... } do
    io.write(type(value) == "table" and lunette.encode(value) or value, "\n")
  end
  assert(os.setlocale() == wanted)
  assert(string.format("%.1f %s", 1.5, ("i"):upper()) == inside,
    "the host's locale was changed")
end
append(1234.5)
assert(engine:step())
say(engine:get("p", "ID"))
append(0.1)
assert(engine:run_once())
say(engine:get("p", "ID"))
append(1 / 3)
assert(engine:start())
assert(engine:wait { projection = "p", timeout = 10.5 })
say(engine:get("p", "ID"))
assert(engine:stop())
local status = engine:status()[1]
say(math.type(status.lag_seconds), math.type(status.events_per_second))
local query = lunette.query "p":filter("x", "gt", 0.25):filter("x", "lt", 1e3)
say(assert(engine:query(query)), tostring(query))
say(assert(engine:query("p", { "x=gte.0.25", "half=in.(0.5,1.5)" })))
say(#assert(engine:query("p", { "x=gt.0.5" })))
say(engine:events {})
say(lunette.encode { 0.5, 1e300, 1 / 3, 5e-324 })
say(lunette.decode "[0.5, 1e-7, 3.0517578125e-05]")
]]

describe("the locale of a host", function()
  local folder

  setup(function()
    if missing then
      return
    end
    folder = helper.tmpdir()
    helper.write_file(folder .. "/host.lua", host)
    for _, one in ipairs(locales) do
      one.made = helper.run { "localedef", "-i", one.source, "-f",
        one.charmap, folder .. "/" .. one.name } <= 1
    end
  end)

  local function compute(name)
    local code, out, err = helper.run({ "lua5.4",
      folder .. "/host.lua", name, script }, {
      env = {
        LUA_PATH = package.path, LUA_CPATH = package.cpath,
        LOCPATH = folder, LC_ALL = false, LANG = false, LANGUAGE = false,
      },
    })
    assert.equal("0 ", code .. " " .. err)
    -- Ids and times are new in every run.
    return (out:gsub('"id":"%x+%-[%x-]+"', "")
      :gsub('"recorded_at":"[^"]+"', ""):gsub('"token":"[^"]+"', ""))
  end

  for _, one in ipairs(locales) do
    it("changes nothing: " .. one.name, function()
      if missing or not one.made then
        return pending(missing or "needs the sources of " .. one.name)
      end
      assert.equal(compute "C", compute(one.name))
    end)

    it("changes nothing in the command: " .. one.name, function()
      if missing or not one.made then
        return pending(missing or "needs the sources of " .. one.name)
      end
      local place = workplace.new()
      place.env.LOCPATH = folder
      place.env.LC_ALL = one.name
      -- The C library loses its copy of LOCPATH.
      place.env.ASAN_OPTIONS = (os.getenv "ASAN_OPTIONS" or "")
        .. ":detect_leaks=0"
      place.env.LUNETTE_LIVE_EVENTS = "7"
      place.env.LUNETTE_SCRIPT_INSTRUCTIONS = "100000"
      place:write("projections/p.lua", script)
      place:done { "append", "--stream", "s", "--type", "T", "--data",
        '{"x":1234.5}' }
      local code, _, err = place:run { "run", "--once" }
      assert.equal(0, code, err)
      assert.is_nil(err:find("no setting", 1, true))
      local out = place:done { "--json", "query", "p", "x=gt.1234.25" }
      assert.equal("1234.5|1234.50 1234.5 0x1.34ap+10|II?|ii?|.?|false|1.5|"
        .. "nil|Bab?", out:match '"queried":"([^"]+)"')
    end)
  end
end)
