-- Models do not depend on where batches begin and end, whatever fails.

local helper = require "spec.helper"
local lunette = require "lunette"
local kit = require "spec.engine.engine_kit"

local sizes = { 1, 2, 7, 1000 }
local kinds_of_failure = {
  "none", "none", "none", "none", "none", "fail", "one id", "key", "fraction",
  "nan", "type", "meta",
}

local function random_ids(r)
  local ids = {}
  local count = r:within(1, 3)
  for i = 1, count do
    ids[i] = "m" .. r:within(1, 40)
  end
  if count == 3 then
    ids[3] = ids[1] -- named twice
  end
  return count == 1 and ids[1] or ids
end

local function random_log(seed, count, may_fail_extract)
  local r = helper.random(seed)
  local list = {}
  for n = 1, count do
    local ids = random_ids(r)
    local failure = r:pick(kinds_of_failure)
    local data = { n = n, ids = ids }
    if failure == "fail" then
      data.fail = true
    elseif failure == "one id" then
      data.fail = type(ids) == "table" and ids[#ids] or ids
    elseif failure ~= "none" then
      data.bad = failure
    end
    if may_fail_extract and r:within(1, 10) == 1 then
      data.fail_extract = true
    end
    list[n] = data
  end
  return list
end

-- An id named twice is one.
local function without_doubles(list)
  local result = {}
  for i, data in ipairs(list) do
    local ids = data.ids
    if type(ids) == "table" and ids[3] then
      ids = { ids[1], ids[2] ~= ids[1] and ids[2] or nil }
    elseif type(ids) == "table" and ids[1] == ids[2] then
      ids = { ids[1] }
    end
    result[i] = kit.merge(data, { ids = ids })
  end
  return result
end

-- In the order of their words: within a batch models are told first.
local function skipped_of(engine)
  local skipped = {}
  for _, item in ipairs(assert(engine:skipped "ledger")) do
    local words = tostring(item.data.n)
    if item.model_id ~= lunette.null then
      words = words .. " " .. item.model_id
    end
    skipped[#skipped + 1] = words
  end
  table.sort(skipped)
  return skipped
end

for _, kind in ipairs(kit.kinds) do
  describe("models on " .. kind .. " stores", function()
    local missing = kit.missing(kind)
    if missing then
      pending(missing)
      return
    end

    after_each(kit.close_all)

    local function project(list, source, size)
      local engine = kit.open(kit.stores(kind), {
        batch_events = size,
        live_events = size,
      })
      kit.register(engine, source)
      kit.append(engine, list)
      assert(engine:run_once())
      return engine
    end

    local function compare(seed, on_error)
      local list = random_log(seed, 600, on_error == "skip")
      local models, parked, skipped =
        kit.fold(without_doubles(list), on_error)
      table.sort(skipped)
      for _, size in ipairs(sizes) do
        local engine = project(list, kit.ledger { on_error = on_error }, size)
        assert.same(models, kit.models(engine, "ledger"))
        assert.same(parked, kit.parked(engine, "ledger"))
        assert.same(skipped, skipped_of(engine))
      end
    end

    local first = helper.seed(1)
    for seed = first, first + 2 do
      for _, on_error in ipairs { "park", "skip" } do
        it("are the same in any batch size, when failures " .. on_error
          .. ", seed " .. seed, function()
            compare(seed, on_error)
          end)
      end
    end

    it("hold in a batch what they will hold after it", function()
      local source = [[
        local function kind_of(value)
          return math.type(value) or type(value)
        end
        return {
          name = "kinds",
          version = 1,
          fields = { whole = "integer", real = "number", at = "timestamp",
            any = "json", gone = "text", seen = "text" },
          extract_model_id = function() return "a" end,
          apply_to_model = function(model, event)
            if model then
              model.seen = (model.seen or "") .. table.concat({
                kind_of(model.whole), kind_of(model.real), kind_of(model.at),
                kind_of(model.any), kind_of(model.gone),
                tostring(model.whole), tostring(model.real),
                tostring(model.at) }, " ") .. "\n"
            end
            model = model or {}
            model.whole = 3.0
            model.real = 7
            model.at = "1970-01-01T00:00:01Z"
            model.gone = lunette.null
            local any = { 2.0, lunette.null, lunette.array(), "text" }
            model.any = any[event.data.n % 4 + 1]
            return model
          end,
        }
      ]]
      local list = {}
      for n = 1, 9 do
        list[n] = { n = n }
      end
      local expected
      for _, size in ipairs(sizes) do
        local engine = project(list, source, size)
        local model = engine:get("kinds", "a")
        expected = expected or model.seen
        assert.equal(expected, model.seen)
      end
      assert.matches("^integer float integer nil nil 3 7%.0 1000000\n",
        expected)
    end)
  end)
end

-- SQLite takes duplicate keys; the engine does not.
describe("data that is no JSON of ours", function()
  after_each(kit.close_all)

  it("is told in every batch, also where it was fetched ahead", function()
    local stores = kit.stores "sqlite"
    local settings = { live_events = 10, batch_events = 10 }
    local engine = kit.open(stores, settings)
    local list = {}
    for n = 1, 100 do
      list[n] = { n = n, ids = "m" .. n % 3 }
    end
    kit.append(engine, list)
    engine = kit.reopen(engine, stores, settings)
    local code, _, err = helper.run({ "sqlite3",
      stores.events:match "^sqlite:(.*)$" }, { stdin = [[
        UPDATE events SET data = '{"n":1,"ids":"m0","n":2}'
        WHERE position IN (1, 35, 100)]] })
    assert(code == 0, err)
    kit.register(engine, kit.ledger { on_error = "skip" })
    assert(engine:run_once())
    local status = kit.status(engine, "ledger")
    assert.equal(3, status.skipped)
    assert.matches("event data: invalid JSON at byte 19: duplicate key",
      status.last_error)
    local sum = 0
    for _, model in pairs(kit.models(engine, "ledger")) do
      sum = sum + model.total
    end
    assert.equal(5050 - 136, sum)
  end)
end)

describe("the models of a batch", function()
  after_each(kit.close_all)

  -- An event for each of so many pairs of models.
  local function each(count)
    local list = {}
    for n = 1, count do
      list[n] = { n = n, ids = { "a" .. n, "b" .. n } }
    end
    return list
  end

  -- Stores with a log that is applied but for as many events again.
  local function stores_behind(count)
    local stores = kit.stores "sqlite"
    local engine = kit.open(stores)
    kit.register(engine, kit.ledger())
    kit.append(engine, each(count))
    assert(engine:run_once())
    kit.append(engine, each(count))
    engine:close()
    return stores
  end

  local function run(stores, settings)
    local engine = kit.open(stores, settings)
    kit.register(engine, kit.ledger())
    assert(engine:run_once())
    engine:close()
  end

  local function check(stores, count)
    local engine = kit.open(stores)
    kit.register(engine, kit.ledger())
    for n = 1, count, 37 do
      assert.equal(2 * n, engine:get("ledger", "a" .. n).total)
      assert.equal(2 * n, engine:get("ledger", "b" .. n).total)
    end
  end

  it("are asked for at once where those of its first events are strange",
    function()
      local stores = stores_behind(1000)
      run { events = stores.events,
        models = "faulty+" .. stores.models .. "?fail=load:3" }
      check(stores, 1000)
    end)

  it("are fewer where those of all its events would take too much memory",
    function()
      local stores = stores_behind(1000)
      run(stores, { memory_bytes = 2 << 20 })
      check(stores, 1000)
    end)
end)
