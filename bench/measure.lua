-- What the measurements share: their settings, and running programs in turns.

local helper = require "spec.helper"

local measure = {
  events = math.tointeger(os.getenv "BENCH_EVENTS" or 1000000),
  appends = os.getenv "BENCH_APPENDS" or "4000",
  turns = tonumber(os.getenv "BENCH_TURNS" or "3"),
  folder = os.getenv "BENCH_DIR" or helper.build .. "/bench-data",
  lunette = os.getenv "BENCH_LUNETTE" or helper.lunette,
}

-- What account_summary declares, as columns of SQL.
function measure.script(indexes)
  local lists = {}
  for i, columns in ipairs(indexes) do
    lists[i] = "{ " .. columns:gsub("[%w_]+", '"%0"') .. " }"
  end
  local text, count = helper.read_file "projections/account_summary.lua"
    :gsub("\n  indexes = [^\n]*",
      "\n  indexes = { " .. table.concat(lists, ", ") .. " },")
  assert(count == 1, "account_summary.lua declares its indexes in one line")
  return helper.write_file(measure.folder .. "/account_summary.lua", text)
end

function measure.fail(...)
  io.stderr:write("bench/run: ", ...)
  io.stderr:write "\n"
  os.exit(1, true) -- closes what is open, a server too
end

-- Run a program to its end; whether it did what it should, and the child.
function measure.try(argv)
  local child = helper.spawn(argv, { cwd = helper.root })
  return child:wait(3600 * 1000) == 0, child
end

-- The same, where there is no going on without it; what it printed.
function measure.must(argv)
  local done, child = measure.try(argv)
  if not done then
    measure.fail(table.concat(argv, " "), "\n", child:stderr())
  end
  return child:stdout(), child
end

-- At least `bytes` are free in a folder; else a line says what is left out.
function measure.has_room(folder, bytes, what)
  local free = tonumber(measure.must {
    "df", "--output=avail", "-B1", folder }:match "%d+")
  if free < bytes then
    print(("\n%s: not measured, %s has %.0f GiB free and %.0f are needed")
      :format(what, folder, free / 2 ^ 30, bytes / 2 ^ 30))
  end
  return free >= bytes
end

function measure.generate(url, count, accounts)
  measure.must { helper.build .. "/bench/generate", url, tostring(count),
    tostring(accounts) }
end

function measure.join(list, ...)
  local all = table.move(list, 1, #list, 1, {})
  return table.move({ ... }, 1, select("#", ...), #all + 1, all)
end

-- `lunette run` over a pair of stores with the scripts at path.
function measure.command(pair, path)
  return { measure.lunette, "run", "-e", pair.events, "-m", pair.models,
    "-p", path }
end

-- Of a list of numbers: the median, the least and the most.
function measure.spread(list)
  table.sort(list)
  return { median = list[(#list + 1) // 2], least = list[1],
    most = list[#list] }
end

function measure.range(spread, format)
  return (format .. " to " .. format):format(spread.least, spread.most)
end

-- Of rates.
function measure.thousands(spread)
  return ("%.0f,000 to %.0f,000"):format(spread.least / 1000,
    spread.most / 1000)
end

-- Each program in turns, another first each time. A program has a name and
-- run(), which gives events a second and MiB. Of each: name, rate, ratio (how
-- many times as fast the first program was in the same turn), peak.
function measure.compare(programs)
  local results, count = {}, #programs
  for i, program in ipairs(programs) do
    results[i] = { name = program.name, rates = {}, ratios = {}, peak = 0 }
  end
  for turn = 1, measure.turns do
    for i = 0, count - 1 do
      local number = (turn + i - 1) % count + 1
      local result = results[number]
      local rate, peak = programs[number].run()
      result.rates[turn] = rate
      result.peak = math.max(result.peak, peak)
    end
    for _, result in ipairs(results) do
      result.ratios[turn] = results[1].rates[turn] / result.rates[turn]
    end
  end
  for _, result in ipairs(results) do
    result.rate = measure.spread(result.rates)
    result.ratio = measure.spread(result.ratios)
  end
  return results
end

return measure
