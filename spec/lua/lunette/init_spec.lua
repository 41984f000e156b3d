local helper = require "spec.helper"
local lunette = require "lunette"

local counter = [[
return {
  name = "counter",
  version = 1,
  fields = { total = "integer", note = "text", last = "timestamp" },
  extract_model_id = function(event) return event.data.key end,
  on = {
    Counted = function(model, event)
      model = model or { total = 0 }
      model.total = model.total + event.data.n
      model.last = event.recorded_at
      return model
    end,
    Dropped = function() return nil end,
  },
}
]]

local function counted(key, n)
  return { stream = "s-" .. key, type = "Counted", data = { key = key, n = n } }
end

local engines = {}

local function open(settings)
  local all = { events = "memory:", models = "memory:" }
  for name, value in pairs(settings or {}) do
    all[name] = value
  end
  local engine = assert(lunette.open(all))
  engines[#engines + 1] = engine
  return engine
end

local function open_counter(settings)
  local engine = open(settings)
  assert.equal("counter", assert(engine:register {
    source = counter,
    name = "counter.lua",
  }))
  return engine
end

-- The message of what f raises.
local function raised(f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  return message
end

describe("the module", function()
  it("says its version", function()
    assert.matches("^%d+%.%d+%.%d+$", lunette.version)
  end)

  it("turns values into JSON with sorted keys and back", function()
    local text = lunette.encode {
      b = lunette.null,
      a = { 1, 2.5, "☾" },
      big = math.maxinteger,
      none = lunette.array(),
      empty = {},
    }
    assert.equal('{"a":[1,2.5,"☾"],"b":null,"big":9223372036854775807,'
      .. '"empty":{},"none":[]}', text)
    assert.equal(text, lunette.encode(lunette.decode(text)))
    assert.equal(lunette.null, lunette.decode "null")
  end)

  it("raises for what has no JSON form", function()
    assert.equal("a.b: a function cannot be stored",
      raised(lunette.encode, { a = { b = print } }))
    assert.matches("init_spec%.lua:%d+: a function cannot be stored$",
      raised(function()
        return lunette.encode(print) .. ""
      end))
  end)

  it("says where a text stops being JSON", function()
    local value, message, code = lunette.decode "[1,}"
    assert.is_nil(value)
    assert.matches("at byte 4", message)
    assert.equal("invalid", code)
    assert.matches("bad argument", raised(lunette.decode))
  end)

  it("checks a script and describes it", function()
    local path = helper.write_file(helper.tmpdir() .. "/counter.lua", counter)
    local description = assert(lunette.check(path))
    assert.equal("counter", description.name)
    assert.equal(1, description.version)
  end)

  it("names file and line of a broken script", function()
    local path = helper.write_file(helper.tmpdir() .. "/broken.lua",
      "return {\n  name = \n}\n")
    local ok, message, code = lunette.check(path)
    assert.is_nil(ok)
    assert.matches("broken%.lua:3", message)
    assert.equal("script", code)
  end)
end)

describe("lunette.open", function()
  it("refuses an unknown setting and an unknown kind of store", function()
    local engine, message, code = lunette.open {
      events = "memory:",
      models = "memory:",
      batch_event = 5,
    }
    assert.is_nil(engine)
    assert.matches("batch_events", message)
    assert.equal("config", code)

    engine, message, code = lunette.open {
      events = "papyrus:scroll",
      models = "memory:",
    }
    assert.is_nil(engine)
    assert.matches("papyrus", message)
    assert.equal("config", code)
  end)

  it("needs both stores", function()
    local engine, message, code = lunette.open { events = "memory:" }
    assert.is_nil(engine)
    assert.matches("models", message)
    assert.equal("config", code)
  end)

  it("raises at the caller's line for settings that are no settings",
    function()
      local here = "init_spec%.lua:%d+: "
      assert.matches("table expected", raised(lunette.open, "memory:"))
      assert.matches(here .. "setting events must be a string or a number",
        raised(function()
          lunette.open { events = {}, models = "memory:" }
        end))
      assert.matches(here .. "the name of a setting must be a string",
        raised(function()
          lunette.open { "memory:" }
        end))
      assert.matches(here .. "a string must not contain a NUL byte",
        raised(function()
          lunette.open { events = "memory:\0", models = "memory:" }
        end))
    end)

  it("takes whole numbers however they are written", function()
    assert.truthy(open { batch_events = 10.0, live_events = "5" })
  end)
end)

describe("an engine", function()
  after_each(function()
    for _, engine in ipairs(engines) do
      engine:close()
    end
    engines = {}
  end)

  it("shows whether it is open", function()
    local engine = open()
    assert.equal("lunette.engine (open)", tostring(engine))
    engine:close()
    assert.equal("lunette.engine (closed)", tostring(engine))
  end)

  it("cannot be used once it is closed, but closed again", function()
    local engine = open()
    engine:close()
    engine:close()
    for _, method in ipairs { "status", "step", "run_once" } do
      assert.matches("init_spec%.lua:%d+: the engine is closed",
        raised(function()
          engine[method](engine)
        end))
    end
  end)

  it("closes at the end of its scope", function()
    local kept
    do
      local engine <close> = open()
      kept = engine
    end
    assert.matches("closed", tostring(kept))
  end)

  it("refuses to be something else", function()
    local engine = open()
    assert.matches("lunette.engine expected", raised(engine.status, {}))
    assert.matches("lunette.engine expected", raised(engine.status, io.stdout))
  end)

  it("lives beside others in one process", function()
    local one, two = open_counter(), open_counter()
    assert(one:append(counted("a", 1)))
    assert(one:run_once())
    assert(two:run_once())
    assert.equal(1, one:get("counter", "a").total)
    assert.is_nil((two:get("counter", "a")))
  end)

  describe("appending", function()
    it("gives the position and what became of the event", function()
      local engine = open()
      local position, appended, token = engine:append(counted("a", 1))
      assert.is_string(position)
      assert.equal(42, #token)
      assert.same({ position = position, version = 1, existed = false,
        token = token }, appended)
    end)

    it("takes a list, all of it or nothing", function()
      local engine = open()
      local position, appended = engine:append {
        counted("a", 1), counted("b", 1), counted("a", 2),
      }
      assert.equal(3, #appended)
      assert.equal(position, appended[3].position)
      assert.equal(2, appended[3].version)

      local late = counted("a", 3)
      late.expected_version = 1
      local ok, message, code = engine:append { counted("b", 9), late }
      assert.is_nil(ok)
      assert.matches("s%-a", message)
      assert.equal("conflict", code)
      assert.equal(3, #engine:events())
    end)

    it("stores an event with an id once", function()
      local engine = open()
      local event = counted("a", 1)
      event.id = "6f4b1c66-3b51-4a53-9d6e-2f9e0f3f4c11"
      local position = assert(engine:append(event))
      local again, appended = engine:append(event)
      assert.equal(position, again)
      assert.is_true(appended.existed)
      assert.equal(1, #engine:events())
    end)

    it("keeps data and metadata as they were", function()
      local engine = open()
      local data = {
        int = math.mininteger,
        float = 3.0,
        null = lunette.null,
        list = lunette.array {},
        nested = { deep = { true, false } },
      }
      assert(engine:append {
        stream = "s", type = "T", data = data, metadata = { by = "ada" },
      })
      local event = engine:events()[1]
      assert.equal(lunette.encode(data), lunette.encode(event.data))
      assert.equal("float", math.type(event.data.float))
      assert.same({ by = "ada" }, event.metadata)
    end)

    it("takes moments as microseconds and as text", function()
      local engine = open()
      assert(engine:append {
        { stream = "s", type = "T", recorded_at = 1000001 },
        { stream = "s", type = "T", recorded_at = "1970-01-01T01:00:02+01:00" },
      })
      local events = engine:events()
      assert.equal("1970-01-01T00:00:01.000001Z", events[1].recorded_at)
      assert.equal("1970-01-01T00:00:02.000000Z", events[2].recorded_at)
    end)

    it("raises at the caller's line for what is no event", function()
      local engine = open()
      local function misuse(event)
        return raised(function()
          engine:append(event)
        end)
      end
      local here = "init_spec%.lua:%d+: "
      assert.matches("table expected", misuse "event")
      assert.matches(here .. "an event needs a stream", misuse {})
      assert.matches(here .. "an event needs a type", misuse { stream = "s" })
      assert.matches(here .. "type must be a string, got number",
        misuse { stream = "s", type = 5 })
      assert.matches(here .. "unknown field expected",
        misuse { stream = "s", type = "T", expected = 1 })
      assert.matches(here .. 'unknown field typ; did you mean "type"?',
        misuse { stream = "s", typ = "T" })
      assert.matches(here .. "expected a list of events, got a field stream",
        misuse { counted("a", 1), stream = "s" })
      assert.matches(here .. "expected_version must be a whole number",
        misuse { stream = "s", type = "T", expected_version = -1 })
      assert.matches(here .. "recorded_at: yesterday is not an RFC 3339",
        misuse { stream = "s", type = "T", recorded_at = "yesterday" })
      assert.matches(here .. "f: a function cannot be stored",
        misuse { stream = "s", type = "T", data = { f = print } })
      for _, data in ipairs {
        setmetatable({}, { __index = { a = 1 } }),
        { list = setmetatable({}, { __index = { 1 } }) },
      } do
        assert.matches(here .. ".*a table with a metatable cannot be stored",
          misuse { stream = "s", type = "T", data = data })
      end
      assert.matches(here .. "expected a plain list, without a metatable, of",
        misuse(setmetatable({ counted("a", 1) }, { __index = {} })))
      assert.matches(here .. "event 2 is no table",
        misuse { counted("a", 1), "event" })
      assert.same({}, engine:events())
    end)
  end)

  describe("looking at events", function()
    it("chooses by stream, type, position and number", function()
      local engine = open()
      local first = assert(engine:append(counted("a", 1)))
      assert(engine:append { counted("b", 2), counted("a", 3) })
      assert(engine:append { stream = "s-a", type = "Dropped" })
      local function count(filter)
        return #assert(engine:events(filter))
      end
      assert.equal(4, count())
      assert.equal(3, count { stream = "s-a" })
      assert.equal(1, count { type = "Dropped" })
      assert.equal(3, count { after = first })
      assert.equal(2, count { limit = 2 })
      assert.matches("limit must be a whole number, not below 1",
        raised(engine.events, engine, { limit = 0 }))
      assert.equal(0, count { stream = "nobody" })
    end)

    it("refuses a position that is none", function()
      local ok, message, code = open():events { after = "here" }
      assert.is_nil(ok)
      assert.matches("here", message)
      assert.equal("invalid", code)
      assert.matches("unknown field from", raised(function()
        open():events { from = "1" }
      end))
    end)
  end)

  describe("registering", function()
    it("takes a file, a source and a folder", function()
      local folder = helper.tmpdir()
      local path = helper.write_file(folder .. "/counter.lua", counter)
      helper.write_file(folder .. "/counter_spec.lua", "error 'a spec'")
      assert.equal("counter", open():register(path))
      assert.equal("counter", open():register { source = counter })
      local engine = open()
      assert.is_true(engine:register_folder(folder))
      assert(engine:append(counted("a", 1)))
      assert(engine:run_once())
      assert.equal(1, engine:get("counter", "a").total)
    end)

    it("says what is wrong with a script", function()
      local ok, message, code = open():register {
        source = "return { name = 5 }",
        name = "five.lua",
      }
      assert.is_nil(ok)
      assert.matches("five%.lua", message)
      assert.equal("script", code)
      assert.matches("source must be a string", raised(function()
        open():register {}
      end))
    end)
  end)

  describe("stepping", function()
    it("reads a batch at a time until nothing is left", function()
      local engine = open_counter { batch_events = 2, live_events = 2 }
      assert(engine:append { counted("a", 1), counted("a", 2),
        counted("a", 3) })
      assert.equal(2, engine:step "counter")
      assert.equal(2, engine:get("counter", "a").total - 1)
      assert.equal(1, engine:step "counter")
      assert.equal(6, engine:get("counter", "a").total)
      assert.is_false(engine:step "counter")
    end)

    it("steps every projection when it is given no name", function()
      local engine = open_counter()
      assert(engine:register { source = (counter:gsub("counter", "twin")) })
      assert(engine:append { counted("a", 1), counted("a", 2) })
      assert.equal(4, engine:step())
      assert.equal(3, engine:get("twin", "a").total)
      assert.equal(3, engine:get("counter", "a").total)
      assert.is_false(engine:step())
    end)

    it("leaves what is stored but not registered alone", function()
      local models = "sqlite:" .. helper.tmpdir() .. "/models.db"
      open_counter({ models = models }):run_once()
      local engine = open { models = models }
      assert.is_false(engine:step())
    end)

    it("goes on with the others after a failure", function()
      local engine = open_counter()
      assert(engine:register { source = [[return {
        name = "bad",
        version = 1,
        extract_model_id = function(event) error "bad event" end,
        apply_to_model = function(model) return model end,
      }]] })
      assert(engine:append(counted("a", 1)))
      local ok, message, code = engine:step()
      assert.is_nil(ok)
      assert.matches("bad event", message)
      assert.equal("script", code)
      assert.equal(1, engine:get("counter", "a").total)
    end)

    it("knows no projection of another name", function()
      local ok, _, code = open():step "nobody"
      assert.is_nil(ok)
      assert.equal("not_found", code)
    end)

    it("raises at the caller's line for a name that is no text", function()
      local engine = open_counter()
      for _, method in ipairs { "step", "register", "pause", "checkpoint" } do
        assert.matches("init_spec%.lua:%d+: bad argument #2 to .* "
          .. "%(string expected, got number%)", raised(function()
          engine[method](engine, 5)
        end))
      end
    end)
  end)

  describe("running once", function()
    it("brings every projection to the head", function()
      local engine = open_counter()
      assert(engine:append { counted("a", 1), counted("b", 2) })
      assert.is_true(engine:run_once())
      assert.equal(1, engine:get("counter", "a").total)
      assert.equal(2, engine:get("counter", "b").total)
    end)

    it("reports progress", function()
      local engine = open_counter()
      assert(engine:append(counted("a", 1)))
      local last
      assert(engine:run_once(function(list)
        last = list
      end))
      assert.equal("counter", last[1].projection)
      assert.equal(1, last[1].events_done)
    end)

    it("gives each projection its own time", function()
      local engine = open_counter()
      assert(engine:register { source = [[return {
        name = "slow",
        version = 1,
        extract_model_id = function(event)
          for _ = 1, 5000000 do end
          return event.stream
        end,
        apply_to_model = function(model) return model or {} end,
      }]] })
      assert(engine:append { counted("a", 1), counted("b", 2) })
      local last = {}
      assert(engine:run_once(function(list)
        for _, one in ipairs(list) do
          last[one.projection] = one
        end
      end))
      assert.same({ 0, 0 },
        { last.slow.events_parked, last.slow.events_skipped })
      assert.is_true(last.slow.seconds > last.counter.seconds)
    end)

    it("passes on what the progress function raises", function()
      local engine = open_counter()
      assert(engine:append(counted("a", 1)))
      local cause = { "any value" }
      local ok, err = pcall(engine.run_once, engine, function()
        error(cause)
      end)
      assert.is_false(ok)
      assert.equal(cause, err)
      assert(engine:run_once())
    end)

    it("does not let the progress function use or close the engine",
      function()
        local engine = open_counter()
        assert(engine:append(counted("a", 1)))
        local function try(method)
          return raised(engine.run_once, engine, function()
            engine[method](engine)
          end)
        end
        assert.matches("cannot be used in its progress function",
          try "status")
        assert.matches("cannot close an engine in its progress", try "close")
        assert(engine:run_once())
      end)

    it("says which projection failed and where, with a traceback", function()
      local engine = open()
      assert(engine:register {
        name = "bad.lua",
        source = [[return {
          name = "bad",
          version = 1,
          extract_model_id = function(event) return "one" end,
          apply_to_model = function(model, event)
            return event.data.missing.field
          end,
        }]],
      })
      local position = assert(engine:append { stream = "s", type = "T" })
      local ok, message, code, detail = engine:run_once()
      assert.is_nil(ok)
      assert.matches("bad%.lua:6", message)
      assert.matches(position, message, 1, true)
      assert.equal("script", code)
      assert.matches("bad%.lua:6: in function", detail)
    end)
  end)

  describe("getting a model", function()
    it("gives its fields, times as text and what is absent as null",
      function()
        local engine = open_counter()
        local event = counted("a", math.maxinteger)
        event.recorded_at = "2024-10-18T09:11:23Z"
        assert(engine:append(event))
        assert(engine:run_once())
        assert.same({
          id = "a",
          total = math.maxinteger,
          note = lunette.null,
          last = "2024-10-18T09:11:23.000000Z",
        }, engine:get("counter", "a"))
      end)

    it("takes an integer for its digits, as scripts do", function()
      local engine = open_counter()
      assert(engine:append(counted(5, 1)))
      assert(engine:run_once())
      assert.equal("5", engine:get("counter", 5).id)
      assert.same(engine:get("counter", "5"), engine:get("counter", 5))
      assert.same({}, engine:parked("counter", 5))
      assert.has_error(function()
        engine:get("counter", 5.5)
      end)
    end)

    it("raises at the caller's line for terms that are none", function()
      local engine = open_counter()
      for _, terms in ipairs {
        { limit = 1 }, { "id=eq.a", order = "id" }, { [2] = "id=eq.a" },
      } do
        assert.matches('init_spec%.lua:%d+: expected a list of terms such as '
          .. '"limit=10", got a field ', raised(function()
            engine:query("counter", terms)
          end))
      end
      assert.matches('a query has no field "limit" to set', raised(function()
        local query = lunette.query "counter"
        query.limit = 1
        return query
      end))
    end)

    it("tells a model from a projection that does not exist", function()
      local engine = open_counter()
      assert(engine:run_once())
      local ok, _, code = engine:get("counter", "nobody")
      assert.is_nil(ok)
      assert.equal("not_found", code)
      ok, _, code = engine:get("nothing", "a")
      assert.is_nil(ok)
      assert.equal("not_found", code)
    end)
  end)

  describe("waiting", function()
    it("has nothing to do with how the text before this one failed", function()
      local engine = open()
      local function script(text)
        return { source = ([[return { name = "p", version = 1,
          extract_model_id = function() return "a" end,
          apply_to_model = function() %s end }]]):format(text) }
      end
      assert(engine:register(script "error 'wrong'"))
      assert(engine:append(counted("a", 1)))
      assert(engine:start())
      for i = 1, 20 do
        local _, message = engine:wait { projection = "p", timeout = 10 }
        assert.matches("p has failed: .*wrong", message)
        assert(engine:register(script("return { n = " .. i .. " }")))
        assert(engine:wait { projection = "p", timeout = 10 })
        assert.equal(i, engine:get("p", "a").n)
        assert(engine:register(script "error 'wrong'"))
        assert(engine:append(counted("a", 1)))
      end
      engine:close()
    end)

    it("steps by itself when nothing runs", function()
      local engine = open_counter()
      local position = assert(engine:append(counted("a", 1)))
      assert.is_true(engine:wait { projection = "counter", after = position })
      assert.equal(1, engine:get("counter", "a").total)
      assert(engine:append(counted("a", 1)))
      assert.is_true(engine:wait {
        projection = "counter", after = "strong", timeout = 5,
      })
      assert.equal(2, engine:get("counter", "a").total)
    end)

    it("raises at the caller's line for a wait that is none", function()
      local engine = open_counter()
      local function misuse(what)
        return raised(function()
          engine:wait(what)
        end)
      end
      local here = "init_spec%.lua:%d+: "
      assert.matches(here .. "a wait needs a projection", misuse {})
      assert.matches(here .. "unknown field position",
        misuse { projection = "counter", position = "1" })
      assert.matches(here .. "a timeout must be a number, got string",
        misuse { projection = "counter", timeout = "5" })
      assert.matches(here .. "a timeout must lie between",
        misuse { projection = "counter", timeout = -1 })
    end)

    it("ends when its time is over", function()
      local engine = open_counter()
      assert(engine:run_once())
      assert(engine:append(counted("a", 1)))
      assert(engine:pause "counter")
      local ok, _, code = engine:wait { projection = "counter", timeout = 0.05 }
      assert.is_nil(ok)
      assert.equal("timeout", code)
    end)
  end)

  describe("in the background #threads", function()
    it("keeps models up to date until it is stopped", function()
      local folder = helper.tmpdir()
      local engine = open_counter {
        events = "sqlite:" .. folder .. "/lunette.db",
        models = "sqlite:" .. folder .. "/lunette.db",
      }
      assert.is_true(engine:start())
      for i = 1, 20 do
        local position = assert(engine:append(counted("a", 1)))
        assert(engine:wait { projection = "counter", after = position })
        assert.equal(i, engine:get("counter", "a").total)
      end
      assert.is_true(engine:stop())
      assert(engine:append(counted("a", 1)))
      assert.equal(20, engine:get("counter", "a").total)
    end)

    it("never touches the host's state", function()
      local engine = open_counter()
      assert(engine:start())
      for _ = 1, 50 do
        assert(engine:append { counted("a", 1), counted("b", 1) })
        collectgarbage()
      end
      assert(engine:wait { projection = "counter" })
      assert.equal(50, engine:get("counter", "b").total)
    end)

    it("ends with the engine when nobody stops it", function()
      local engine = open_counter()
      assert(engine:start())
      assert(engine:append(counted("a", 1)))
      engine:close()
    end)
  end)

  -- In a process of its own, because the thread stays behind.
  it("closes although a script is stuck in a library call #threads",
    function()
      local script = helper.write_file(helper.tmpdir() .. "/stuck.lua", [=[
        local lunette = require "lunette"
        local engine = assert(lunette.open {
          events = "memory:", models = "memory:",
          stuck_ms = 50, stop_ms = 50, heartbeat_ms = 10,
        })
        assert(engine:register { source = [[return {
          name = "stuck",
          version = 1,
          extract_model_id = function(event)
            return (("a"):rep(400):find "a-a-a-a-a-b") and "never"
          end,
          apply_to_model = function(model) return model end,
        }]] })
        assert(engine:append { stream = "s", type = "T" })
        assert(engine:start())
        repeat
          local status = assert(engine:status())[1]
          local words = lunette.encode(status)
          assert(status.state ~= "failed", words)
        until words:find "stuck"
        engine:close()
        print "closed"]=])
      local code, out, err = helper.run({ "lua5.4", script }, {
        env = { LUA_PATH = package.path, LUA_CPATH = package.cpath },
        timeout = 20,
      })
      assert.equal(0, code, err)
      assert.equal("closed\n", out)
    end)

  describe("administration", function()
    it("pauses and resumes", function()
      local engine = open_counter()
      assert(engine:run_once())
      assert(engine:append(counted("a", 1)))
      assert.is_true(engine:pause "counter")
      assert.equal("paused", engine:status()[1].state)
      assert.is_true(engine:resume "counter")
      assert(engine:run_once())
      assert.equal(1, engine:get("counter", "a").total)
    end)

    it("rebuilds from the first event", function()
      local engine = open_counter()
      assert(engine:append(counted("a", 1)))
      assert(engine:run_once())
      assert.is_true(engine:rebuild "counter")
      assert.is_nil((engine:get("counter", "a")))
      assert(engine:run_once())
      assert.equal(1, engine:get("counter", "a").total)
    end)

    it("shows, sets and deletes a checkpoint", function()
      local engine = open_counter()
      local first = assert(engine:append(counted("a", 1)))
      local last = assert(engine:append(counted("a", 1)))
      assert(engine:run_once())
      assert.equal(last, engine:checkpoint("counter").position)
      assert(engine:pause "counter")
      assert.is_true(engine:set_checkpoint("counter", first))
      assert.equal(first, engine:checkpoint("counter").position)
      assert.is_true(engine:delete_checkpoint "counter")
      local ok, _, code = engine:checkpoint "counter"
      assert.is_nil(ok)
      assert.equal("not_found", code)
    end)

    it("parks, retries and discards", function()
      local script = [[return {
        name = "picky",
        version = 1,
        on_error = "park",
        fields = { n = "integer" },
        extract_model_id = function(event) return event.data.key end,
        apply_to_model = function(model, event)
          if not GOOD and event.data.n < 0 then error "below zero" end
          return { n = event.data.n }
        end,
      }]]
      local engine = open()
      assert(engine:register { source = script:gsub("GOOD", "false") .. "" })
      assert(engine:append {
        counted("a", 1), counted("a", -1), counted("a", 2),
        counted("b", 1), counted("c", -1),
      })
      assert.is_true(engine:run_once())
      assert.equal(1, engine:get("picky", "a").n)
      assert.equal(3, #engine:parked "picky")
      assert.equal(2, #engine:parked("picky", "a"))

      assert.is_true(engine:discard("picky", "c"))
      assert(engine:register { source = script:gsub("GOOD", "true") .. "" })
      assert.is_true(engine:retry "picky")
      assert(engine:run_once())
      assert.same({}, engine:parked "picky")
      assert.equal(2, engine:get("picky", "a").n)
      assert.is_nil((engine:get("picky", "c")))
    end)

    describe("of events whose data is not JSON here", function()
      local script = [[
        return {
          name = "strict", version = 1, fields = { n = "integer" },
          on_error = "%s",
          extract_model_id = function(event) return event.stream end,
          apply_to_model = function(_, event) return { n = event.data.n } end,
        }
      ]]
      local rows = {
        { "twice", [[{"n":1,"n":2}]], "duplicate key" },
        { "bytes", "\"a\255b\"", "UTF%-8", '"a\u{FFFD}b"' },
        { "half", [["\ud800"]], "surrogate" },
      }

      local function foreign(on_error)
        local url = "sqlite:" .. helper.tmpdir() .. "/events.db"
        local engine = open { events = url, models = url }
        assert(engine:register { source = script:format(on_error) })
        assert(engine:append { stream = "good", type = "T", data = { n = 1 } })
        for _, row in ipairs(rows) do
          local code, _, message = helper.run { "sqlite3", url:sub(8),
            ("INSERT INTO events (stream, version, type, data, metadata) VALUES"
              .. " ('%s', 1, 'T', CAST(x'%s' AS TEXT), '{\"a\":1,\"a\":2}')")
              :format(row[1], row[2]:gsub(".", function(byte)
                return ("%02x"):format(byte:byte())
              end)) }
          assert.equal(0, code, message)
        end
        assert(engine:run_once())
        return engine
      end

      local function check(events, first, last)
        assert.equal(#rows, last - first + 1)
        for i, row in ipairs(rows) do
          local event = events[first + i - 1]
          assert.equal(row[1], event.stream)
          assert.equal(row[4] or row[2], event.data)
          assert.matches(row[3], event.data_error)
          assert.equal('{"a":1,"a":2}', event.metadata)
          assert.matches("duplicate key", event.metadata_error)
        end
      end

      it("lists those parked, with their text", function()
        local parked = assert(foreign("park"):parked "strict")
        check(parked, 1, #parked)
        assert.matches("duplicate key", parked[1].error)
      end)

      it("lists those skipped, with their text", function()
        local skipped, by_number = assert(foreign("skip"):skipped "strict"), {}
        for i, event in ipairs(skipped) do
          by_number[#skipped + 1 - i] = event
        end
        check(by_number, 1, #skipped)
      end)

      it("lists the events with their text", function()
        local events = assert(foreign("skip"):events())
        assert.same({ n = 1 }, events[1].data)
        assert.is_nil(events[1].data_error)
        check(events, 2, #events)
      end)
    end)

    it("lists values that are nested as deeply as may be", function()
      local engine, data = open(), lunette.array {}
      for _ = 2, 100 do
        data = lunette.array { data }
      end
      assert(engine:register { source = [[return {
        name = "deep",
        version = 1,
        on_error = "park",
        fields = { value = "json" },
        extract_model_id = function() return { "good", "bad" } end,
        apply_to_model = function(_, event, id)
          return { value = event.data, none = id == "bad" or nil }
        end,
      }]] })
      assert(engine:append { stream = "s", type = "T", data = data })
      assert(engine:run_once())
      assert.same(data, engine:events()[1].data)
      assert.same(data, engine:parked("deep")[1].data)
      assert.same(data, engine:get("deep", "good").value)
      assert.same(data, engine:query("deep")[1].value)
    end)

    it("lists skipped events", function()
      local engine = open()
      assert(engine:register { source = [[return {
        name = "lenient",
        version = 1,
        on_error = "skip",
        extract_model_id = function(event) return "one" end,
        apply_to_model = function(model, event) error "no" end,
      }]] })
      assert(engine:append { stream = "s", type = "T" })
      assert(engine:run_once())
      assert.equal(1, #engine:skipped "lenient")
    end)

    it("knows no projection of another name", function()
      local ok, message, code = open():pause "nobody"
      assert.is_nil(ok)
      assert.matches("nobody", message)
      assert.equal("not_found", code)
    end)
  end)
end)

-- What the collector owns, it frees, also when an argument is refused halfway.
describe("a refused call", function()
  it("leaves nothing behind", function()
    local engine <close> = open_counter()
    local bad = { counted("a", 1), { stream = "s", type = "T", data = print } }
    local function refuse()
      for _ = 1, 2000 do
        pcall(engine.append, engine, bad)
        pcall(lunette.encode, { ("x"):rep(10000), print })
        pcall(engine.query, engine, "counter", { "total=gte.1", print })
      end
      collectgarbage()
      collectgarbage()
    end
    local function resident_kib()
      local status = helper.read_file "/proc/self/status"
      return tonumber(status:match "VmRSS:%s*(%d+)")
    end
    refuse()
    local before = resident_kib()
    refuse()
    if os.getenv "LUNETTE_SANITIZE" == nil then
      assert.is_true(resident_kib() - before < 4096)
    end
  end)
end)
