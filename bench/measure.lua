-- What the measurements share: running programs, and the table they end in.

local helper = require "spec.helper"

local measure = {
  events = math.tointeger(os.getenv "BENCH_EVENTS" or 1000000),
  batch = os.getenv "BENCH_BATCH",
  appends = os.getenv "BENCH_APPENDS" or "4000",
  turns = tonumber(os.getenv "BENCH_TURNS" or "3"),
  folder = os.getenv "BENCH_DIR" or helper.build .. "/bench-data",
}

-- The logs: a name, how many accounts, events in a batch.
measure.logs = { { "uniform", 50000, "50000" }, { "hot", 1000, "5000" } }

-- The floor keeps no secondary indexes, so neither does this script.
function measure.script()
  local text = helper.read_file "projections/account_summary.lua"
  local plain, count = text:gsub("\n%s*indexes = [^\n]*", "")
  assert(count == 1, "account_summary.lua declares its indexes in one line")
  return helper.write_file(measure.folder .. "/account_summary.lua", plain)
end

-- Run a program to its end; what it printed, and the child.
function measure.must(argv)
  local child = helper.spawn(argv, { cwd = helper.root })
  if child:wait(3600 * 1000) ~= 0 then
    io.stderr:write(table.concat(argv, " "), "\n", child:stderr())
    os.exit(1, true) -- closes what is open, a server too
  end
  return child:stdout(), child
end

function measure.generate(url, count, accounts)
  measure.must { helper.build .. "/bench/generate", url, tostring(count),
    tostring(accounts) }
end

-- The command over these stores, without what the caller adds.
function measure.command(pair, path)
  return { helper.lunette, "run", "-e", pair.events, "-m", pair.models,
    "-p", path, "--log-level", "error" }
end

local function with(argv, ...)
  local all = table.move(argv, 1, #argv, 1, {})
  return table.move({ ... }, 1, select("#", ...), #all + 1, all)
end

-- Events a second, and the most memory it held in MiB.
local function run_lunette(pair, path, batch)
  pair.clear()
  local start = helper.now_ms()
  local _, child = measure.must(
    with(measure.command(pair, path), "--once", "--batch-events", batch))
  local seconds = (helper.now_ms() - start) / 1000
  return measure.events / seconds, child:peak_kib() / 1024
end

local function run_floor(pair, batch)
  pair.clear()
  local argv = with(pair.floor, batch)
  return tonumber(measure.must(argv):match "(%S+)%s*$")
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

function measure.heading(what)
  print(("\n%-36s %10s %10s %8s %13s %9s"):format(what, "events/s", "floor",
    "ratio", "least-most", "peak MiB"))
end

-- One line: both in turns, over a pair of stores: events and models (URLs),
-- floor (its command), clear() (forget the models).
function measure.throughput(what, pair, path, batch)
  local floors, rates, ratios, peak = {}, {}, {}, 0
  for turn = 1, measure.turns do
    floors[turn] = run_floor(pair, batch)
    local memory
    rates[turn], memory = run_lunette(pair, path, batch)
    ratios[turn] = rates[turn] / floors[turn]
    peak = math.max(peak, memory)
  end
  local ratio = median(ratios)
  print(("%-36s %10.0f %10.0f %8.2f %6.2f-%.2f %11.0f"):format(what,
    median(rates), median(floors), ratio, ratios[1], ratios[#ratios], peak))
end

-- From an append to the model that shows it, while an engine runs over the
-- pair, whose log has a few events already; appends is the URL they are made
-- with.
function measure.latency(pair, path)
  local argv = measure.command(pair, path)
  measure.must(with(argv, "--once"))
  local child = helper.spawn(argv)
  local out = measure.must { helper.build .. "/bench/latency",
    pair.appends or pair.events, pair.models, "200", measure.appends }
  child:kill "TERM"
  child:wait()
  print(("\nappend to visible: %s ms at the 50th percentile, %s ms at the "
    .. "99th, %s ms at most; %s appends a second"):format(
    out:match "(%S+) (%S+) (%S+) (%S+)"))
end

return measure
