-- A projection whose key is an integer gives the models that one with a text
-- as key gives, in any store, whatever fails.

local helper = require "spec.helper"
local lunette = require "lunette"
local kit = require "spec.engine.engine_kit"

local seed = helper.seed()
local ids = { 0, 1, -1, 2, 9, 10, 42, 100, -10, 9007199254740992,
  9007199254740993, math.maxinteger, math.mininteger }

local source = [[return {
  name = "%s", version = 1, on_error = "park",
  fields = { %s n = "integer", last = "text", kind = "text" },
  extract_model_id = function(event) return event.data.ids end,
  apply_to_model = function(model, event, id)
    if event.data.fail == math.tointeger(id) then error "failed" end
    if event.data.close then return nil end
    return { id = id, n = (model and model.n or 0) + 1,
      last = event.data.text .. id, kind = math.type(id) }
  end }]]

-- One id in some form, or several.
local function random_log(r, count)
  local list = {}
  for n = 1, count do
    local id = r:pick(ids)
    local other = r:pick(ids)
    list[n] = { stream = "s", type = "T", data = {
      ids = r:pick { id, tostring(id), { id, other, tostring(id) } },
      close = r:chance(10) or nil,
      fail = r:chance(5) and other or nil,
      text = "event " .. n .. " of ",
    } }
  end
  return list
end

local function models_of(engine, name)
  local models = {}
  for i, row in ipairs(assert(engine:query(name, { "limit=10000" }))) do
    row.kind = nil
    row.id = tostring(row.id)
    models[i] = row
  end
  table.sort(models, function(a, b)
    return a.id < b.id
  end)
  return models
end

local function parked_of(engine, name)
  local list = {}
  for i, item in ipairs(assert(engine:parked(name))) do
    list[i] = item.model_id .. " " .. item.position
  end
  return list
end

describe("integer keys, seed " .. seed, function()
  for _, kind in ipairs(kit.kinds) do
    it("give what text keys give on " .. kind .. " stores", function()
      local why = kit.missing(kind)
      if why then
        pending(why)
      end
      local engine <close> = assert(lunette.open(kit.merge(kit.stores(kind),
        { batch_events = 7, live_events = 3 })))
      for name, fields in pairs {
        by_text = "", by_number = 'id = "integer",',
      } do
        assert(engine:register {
          name = name .. ".lua", source = source:format(name, fields),
        })
      end
      assert(engine:append(random_log(helper.random(seed), 400)))
      assert(engine:run_once())
      assert.same(models_of(engine, "by_text"), models_of(engine, "by_number"))
      assert.same(parked_of(engine, "by_text"), parked_of(engine, "by_number"))
      local before
      for _, row in ipairs(assert(engine:query "by_number")) do
        assert.equal("integer", math.type(row.id))
        assert.equal("integer", row.kind)
        assert.is_true(before == nil or before < row.id)
        assert.same(row, engine:get("by_number", row.id))
        before = row.id
      end
    end)
  end

  it("are asked for by number", function()
    local engine <close> = assert(lunette.open(kit.stores "memory"))
    assert(engine:register { name = "p.lua",
      source = source:format("p", 'id = "integer",') })
    assert(engine:append { stream = "s", type = "T",
      data = { ids = { 42, 7 }, fail = 7, text = "" } })
    assert(engine:run_once())
    assert.equal(42, engine:get("p", 42).id)
    assert.equal(42, engine:get("p", "42").id)
    local ok, message, code = engine:get("p", "042")
    assert.is_nil(ok)
    assert.equal("invalid", code)
    assert.matches('model id "042": the ids of p are integers', message, 1,
      true)
    assert.equal("not_found", select(3, engine:get("p", 43)))
    assert.equal(7, engine:parked("p", 7)[1].model_id)
    assert.same({}, engine:parked("p", 42))
    assert(engine:discard("p", 7))
    assert.same({}, engine:parked "p")
  end)
end)
