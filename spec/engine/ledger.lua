-- A ledger to try the engine with: projections, events made from a seed, and
-- what the models must be, folded apart in plain Lua.
--
-- Applying an event twice, leaving one out or changing their order shows: a
-- model counts its events and keeps a trail that depends on their order.

local lunette = require "lunette"

local ledger = {}

-- The projections: one with columns, and one that parks what fails.
ledger.scripts = {
  ledger = [[
    return {
      name = "ledger",
      version = 1,
      handles = { "Opened", "Moved", "Closed" },
      fields = { balance = "integer", count = "integer", trail = "integer" },
      extract_model_id = function(event) return event.data.accounts end,
      apply_to_model = function(model, event, id)
        if event.type == "Closed" then
          return nil
        end
        model = model or { balance = 0, count = 0, trail = 0 }
        local amount = event.data.amount
        if event.data.accounts[2] == id then
          amount = -amount
        end
        model.balance = model.balance + amount
        model.count = model.count + 1
        model.trail = (model.trail * 31 + event.data.serial) % 1000003
        return model
      end,
    }
  ]],
  parking = [[
    return {
      name = "parking",
      version = 1,
      on_error = "park",
      handles = { "Opened", "Moved", "Closed" },
      extract_model_id = function(event) return event.data.accounts end,
      apply_to_model = function(model, event, id)
        if event.type == "Closed" then
          return nil
        end
        model = model or { serials = {} }
        model.serials[#model.serials + 1] = event.data.serial
        if event.data.poison == id then
          error "poison"
        end
        return model
      end,
    }
  ]],
}

-- What it becomes once the script can bear poison.
ledger.scripts.mended = ledger.scripts.parking:gsub("error \"poison\"",
  "model.cured = event.data.serial")

-- The next event of a log; serial numbers them from 1.
function ledger.event(r, serial)
  local from = "account-" .. r:within(1, 15)
  local to = "account-" .. r:within(1, 15)
  local event = {
    id = ("00000000-0000-4000-8000-%012d"):format(serial),
    stream = from,
    type = "Opened",
    data = { accounts = { from }, serial = serial, amount = r:within(1, 900) },
  }
  if r:chance(5) then
    event.type = "Closed"
  elseif r:chance(10) then
    event.type = "Noise"
  elseif from ~= to and r:chance(80) then
    event.type = "Moved"
    event.data.accounts[2] = to
    if r:within(1, 500) == 1 then
      event.data.poison = r:pick { from, to }
    end
  end
  return event
end

-- Events serial to serial + count - 1.
function ledger.events(r, serial, count)
  local list = {}
  for i = 1, count do
    list[i] = ledger.event(r, serial + i - 1)
  end
  return list
end

-- ---- the fold

local folds = {}

local function new_model(name)
  return name == "ledger" and { balance = 0, count = 0, trail = 0 }
    or { serials = {} }
end

function folds.ledger(model, event, place)
  local data = event.data
  model.balance = model.balance + (place == 2 and -data.amount or data.amount)
  model.count = model.count + 1
  model.trail = (model.trail * 31 + data.serial) % 1000003
  return model
end

function folds.parking(model, event)
  table.insert(model.serials, event.data.serial)
  return model
end

function folds.mended(model, event, place)
  if event.data.poison == event.data.accounts[place] then
    model.cured = event.data.serial
  end
  return folds.parking(model, event)
end

local handled = { Opened = true, Moved = true, Closed = true }

-- Models by id and, for "parking", the serials parked by model id.
local fold = {}
fold.__index = fold

-- name: of ledger.scripts.
function ledger.fold(name)
  return setmetatable({ name = name, models = {}, parked = {}, position = 0 },
    fold)
end

local function add_parked(self, id, event)
  self.parked[id] = self.parked[id] or {}
  table.insert(self.parked[id], event.data.serial)
end

function fold:apply(event)
  if not handled[event.type] then
    return
  end
  for place, id in ipairs(event.data.accounts) do
    if self.name == "parking"
      and (self.parked[id] or event.data.poison == id) then
      add_parked(self, id, event)
    elseif event.type == "Closed" then
      self.models[id] = nil
    else
      self.models[id] = folds[self.name](self.models[id]
        or new_model(self.name), event, place)
    end
  end
end

-- Go on to a position; positions of the log count from 1 without a gap.
function fold:advance(events, position)
  assert(position >= self.position, "the checkpoint has moved back")
  for place = self.position + 1, position do
    self:apply(events[place])
  end
  self.position = position
end

-- ---- what is stored

-- Models by id, and what is parked, in the form of a fold.
function ledger.stored(engine, projection)
  local models, parked = {}, {}
  for _, row in ipairs(assert(engine:query(projection, { "limit=10000" }))) do
    models[row.id], row.id = row, nil
  end
  for _, item in ipairs(assert(engine:parked(projection))) do
    parked[item.model_id] = parked[item.model_id] or {}
    table.insert(parked[item.model_id], item.data.serial)
  end
  return models, parked
end

-- What the store holds is what a fold up to its own checkpoint gives. Returns
-- the checkpoint, 0 if there is none yet.
function ledger.check(engine, projection, folded, events)
  local checkpoint = engine:checkpoint(projection)
  if not checkpoint then
    return 0
  end
  local position = math.tointeger(checkpoint.position)
  folded:advance(events, position)
  local models, parked = ledger.stored(engine, projection)
  if lunette.encode { models, parked }
    ~= lunette.encode { folded.models, folded.parked } then
    local assert = require "luassert"
    assert.same(folded.models, models, projection .. " at " .. position)
    assert.same(folded.parked, parked, projection .. " at " .. position)
  end
  return position
end

return ledger
