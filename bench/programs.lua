-- The programs that are compared over a pair of stores: Lunette, the one in C
-- without an engine, and the loop in JavaScript where it is installed. All must
-- come to the same models.

local helper = require "spec.helper"
local measure = require "bench.measure"

local programs = {
  peers = helper.build .. "/peers",
}

-- test: batch (events), script, indexes (columns of each).
local function lunette(pair, test)
  local argv = measure.join(measure.command(pair, test.script), "--once",
    "--log-level", "error", "--batch-events", tostring(test.batch))
  return function()
    local start = helper.now_ms()
    local _, child = measure.must(argv)
    local seconds = (helper.now_ms() - start) / 1000
    return pair.count / seconds, child:peak_kib() / 1024
  end
end

-- One that prints its rate at the end.
local function reporting(argv)
  return function()
    local out, child = measure.must(argv)
    return tonumber(out:match "(%S+)%s*$"), child:peak_kib() / 1024
  end
end

local function floor(pair, test)
  return reporting(measure.join(pair.floor, tostring(test.batch),
    table.unpack(test.indexes)))
end

local function peer(pair, test)
  local program, events, models = table.unpack(pair.peer)
  return reporting { "node", programs.peers .. "/" .. program, events, models,
    tostring(test.batch) }
end

-- What all come to is what the first one came to.
local function checked(pair, name, schema, run)
  return { name = name, run = function()
    pair.clear()
    local rate, peak = run()
    local models = pair.digest(schema)
    pair.expected = pair.expected or { models = models, name = name }
    if models ~= pair.expected.models then
      measure.fail(name, " came to other models than ", pair.expected.name)
    end
    return rate, peak
  end }
end

function programs.have_peers()
  local file = io.open(programs.peers .. "/installed")
  return file ~= nil and file:close()
end

-- test.peers: with the loop, which has no indexes.
function programs.over(pair, test)
  local list = {
    checked(pair, "Lunette", "lunette", lunette(pair, test)),
    checked(pair, "C, one thread", "floor", floor(pair, test)),
  }
  if test.peers and programs.have_peers() then
    list[3] = checked(pair, pair.peer.name, "peer", peer(pair, test))
  end
  return list
end

return programs
