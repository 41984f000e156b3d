local helper = require "spec.helper"
local lunette = require "lunette"
local testing = require "lunette.testing"
local replay = testing.replay

-- A projection that keeps what body says, as a table with its source.
local function projection(body, more)
  return {
    name = "sample.lua",
    source = ([[return {
  name = "sample",
  version = 1,
  %s
  extract_model_id = function(event) return event.data.key end,
  apply_to_model = function(model, event, id)
    %s
  end,
}]]):format(more or "", body),
  }
end

local function event(key, n)
  return { type = "Counted", data = { key = key, n = n } }
end

local events = { event("a", 1), event("b", 2), event("a", 3) }

local function raised(f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  return message
end

describe("lunette.testing", function()
  describe("replay", function()
    local summing = projection [[
      return { n = (model and model.n or 0) + event.data.n }]]

    it("gives the models by id", function()
      assert.same({ a = { n = 4 }, b = { n = 2 } }, (replay(summing, events)))
    end)

    it("gives nothing for no events", function()
      assert.same({}, (replay(summing, {})))
    end)

    it("leaves null fields out and keeps null inside json", function()
      local models = replay(projection(
        "return { extra = { lunette.null }, seen = true }",
        'fields = { extra = "json", seen = "boolean", none = "text" },'),
        { event("a", 1) })
      assert.same({ a = { extra = { lunette.null }, seen = true } }, models)
    end)

    it("fills in what an event leaves out, the same in every run", function()
      local keeping = projection [[return {
        id = nil,
        event_id = event.id,
        stream = event.stream,
        version = event.version,
        recorded_at = event.recorded_at,
      }]]
      local models = replay(keeping, events)
      assert.same({
        event_id = "00000000-0000-4000-8000-000000000003",
        stream = "test",
        version = 3,
        recorded_at = 1767225600000000 + 3000000,
      }, models.a)
      assert.same(models, (replay(keeping, events)))
    end)

    it("gives times as text, like a query", function()
      local models = replay(projection(
        "return { at = event.recorded_at }", 'fields = { at = "timestamp" },'),
        { event("a", 1) })
      assert.equal("2026-01-01T00:00:01.000000Z", models.a.at)
    end)

    it("sees the models even where handle_query would hide them", function()
      local hiding = projection("return { n = event.data.n }",
        "handle_query = function(store, query) return {} end,")
      assert.equal(2, replay(hiding, events).b.n)
      assert.same({}, testing.query(hiding, events))
    end)

    it("gives parked events too", function()
      local models, parked = replay(projection([[
        if event.data.n == 3 then error "three" end
        return { n = event.data.n }]], 'on_error = "park",'), events)
      assert.equal(1, models.a.n)
      assert.equal(1, #parked)
      assert.matches("three", parked[1].error)
    end)

    it("has integers as ids where the key is one", function()
      local by_number = projection([[
        if event.data.n == 3 then error "three" end
        return { id = id, n = event.data.n }]],
        'on_error = "park", fields = { id = "integer", n = "integer" },')
      local models, parked = replay(by_number,
        { event(42, 1), event("-7", 2), event(42.0, 3) })
      assert.same({ [42] = { n = 1 }, [-7] = { n = 2 } }, models)
      assert.equal(42, parked[1].model_id)
      assert.equal("integer", math.type(parked[1].model_id))
      assert.same({ { id = 42, n = 1 } },
        testing.query(by_number, { event(9, 5), event(42, 1) },
          { "id=gt.9" }))
    end)

    it("shows what differs when models depend on where batches end",
      function()
        -- ids are extracted for a whole batch before it is applied
        local leaking = {
          name = "leaking.lua",
          source = [[
            local extracted = 0
            return {
              name = "leaking",
              version = 1,
              fields = { seen = "integer" },
              extract_model_id = function(event)
                extracted = extracted + 1
                return event.data.key
              end,
              apply_to_model = function(model, event)
                return { seen = extracted }
              end,
            }]],
        }
        local message = raised(replay, leaking, events)
        assert.matches("leaking: models depend on where batches end", message)
        assert.matches("b.seen: 2 in batches of 1, 3 in batches of 7", message)
        local models = replay(leaking, events, { batch = 1 })
        assert.equal(2, models.b.seen)
      end)

    it("shows what differs when the script is loaded anew", function()
      local function keeping(what, value)
        return {
          name = "keeping.lua",
          source = ([[local kept = %s
            return {
              name = "keeping",
              version = 1,
              fields = { n = "integer" },
              extract_model_id = function(event) return event.data.key end,
              apply_to_model = function(model, event) %s end,
            }]]):format(what, value),
        }
      end
      for what, value in pairs {
        ["0"] = "kept = kept + 1 return { n = kept }",
        ["{}"] = "kept[#kept + 1] = 1 return { n = #kept }",
        ["(function() local n = 0 return function() n = n + 1 return n end "
          .. "end)()"] = "return { n = kept() }",
      } do
        local message = raised(replay, keeping(what, value), events)
        assert.matches("^keeping: models differ when the script is loaded "
          .. "again between batches; a handler keeps something in a local "
          .. "variable of the script", message)
        assert.matches("a.n: 3 in batches of 1, 1 in batches of 1, the script "
          .. "loaded anew after each", message)
      end
      local remembering = keeping("{}", [[
        kept[event.data.n] = kept[event.data.n] or event.data.n * 2
        return { n = kept[event.data.n] }]])
      assert.equal(6, replay(remembering, events).a.n)
    end)

    it("loads a script no more than a hundred times", function()
      local many = {}
      for i = 1, 1000 do
        many[i] = event("a", i)
      end
      local message = raised(replay, {
        name = "counting.lua",
        source = [[local n = 0
          return { name = "counting", version = 1,
            extract_model_id = function(event) return event.data.key end,
            apply_to_model = function() n = n + 1 return { n = n } end }]],
      }, many)
      assert.matches("a.n: 1000 in batches of 1, 10 in batches of 10, the",
        message)
    end)

    it("raises a script's error with its line and the event", function()
      local message = raised(replay, projection "error 'broken'", events)
      assert.matches("sample%.lua:7", message)
      assert.matches("broken", message)
    end)

    it("keeps the line numbers of a projection with handle_query", function()
      local message = raised(replay, projection("error 'broken'",
        "handle_query = function() return {} end,"), events)
      assert.matches("sample%.lua:7", message)
    end)

    it("raises what is wrong with a script", function()
      for source, where in pairs {
        ["return 5"] = "sample%.lua",
        ["return {"] = "sample%.lua:1",
        ["-- handle_query\nreturn {"] = "sample%.lua:2",
      } do
        assert.matches(where, raised(replay, {
          name = "sample.lua", source = source,
        }, {}))
      end
    end)

    it("finds a projection by path and by name", function()
      local folder = helper.tmpdir()
      helper.mkdir(folder .. "/projections")
      local source = projection("return { n = 1 }").source
      helper.write_file(folder .. "/projections/sample.lua", source)
      assert.equal(1,
        replay(folder .. "/projections/sample.lua", events).a.n)

      local spec = helper.write_file(folder .. "/projections/try.lua", [[
        local replay = require("lunette.testing").replay
        local models = replay("sample", {
          { type = "T", data = { key = "k" } },
        })
        return models]])
      assert.equal(1, dofile(spec).k.n)
    end)

    it("does not wait for a pipe in the place of a projection", function()
      local path = helper.tmpdir() .. "/pipe.lua"
      assert.equal(0, (helper.run { "mkfifo", path }))
      assert.matches("testing_spec%.lua:%d+: .*pipe.lua: is a FIFO",
        raised(function()
          replay(path, events)
        end))
    end)

    it("names the places where it looked in vain", function()
      local message = raised(replay, "nowhere", {})
      assert.matches("nowhere%.lua", message)
      assert.matches("projections/nowhere%.lua", message)
      assert.matches("no projection at /no/such%.lua",
        raised(replay, "/no/such.lua", {}))
    end)

    it("takes settings of the engine", function()
      local endless = projection "while true do end"
      assert.matches("instructions", raised(replay, endless, events, {
        settings = { script_instructions = 5000 },
      }))
    end)

    it("raises at the spec's line for events that are none", function()
      local message = raised(function()
        replay(summing, { { kind = "Counted" } })
      end)
      assert.matches("testing_spec%.lua:%d+: event 1 must be a table",
        message)
      assert.matches("testing_spec%.lua:%d+: events must be a list, and this "
        .. "has a field type", raised(function()
          replay(summing, { type = "Counted" })
        end))
    end)

    it("raises at the spec's line for options that are none", function()
      assert.matches('testing_spec%.lua:%d+: there is no option "bach"',
        raised(function()
          replay(summing, events, { bach = 1 })
        end))
      assert.matches("testing_spec%.lua:%d+: options must be a table",
        raised(function()
          replay(summing, events, 1)
        end))
    end)
  end)

  describe("query", function()
    local plain = projection("return { n = event.data.n }",
      'fields = { n = "integer" },')

    it("answers as the engine would", function()
      assert.same({ { id = "a", n = 3 } },
        testing.query(plain, events, { "n=gt.2" }))
    end)

    it("takes a query that was built", function()
      local query = lunette.query("sample"):order_by("n", "desc"):limit(1)
      assert.same({ { id = "a", n = 3 } },
        testing.query(plain, events, query))
    end)

    it("asks handle_query", function()
      local own = projection("return { n = event.data.n }", [[
  fields = { n = "integer" },
  handle_query = function(store, query)
    local sum = 0
    for _, row in ipairs(store:query(query)) do
      sum = sum + row.n
    end
    return { { sum = sum } }
  end,]])
      assert.same({ { sum = 5 } }, testing.query(own, events))
    end)

    it("raises what is wrong with a query", function()
      assert.matches("size", raised(testing.query, plain, events,
        { "size=gt.2" }))
    end)
  end)
end)
