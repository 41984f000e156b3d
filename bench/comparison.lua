-- A table of programs that were compared, a row for each.

local measure = require "bench.measure"
local programs = require "bench.programs"
local tables = require "bench.table"

local comparison = {}

-- leading: columns that say what they were compared over. to_first: the title
-- of a column with the rate as a part of that program's in the first rows;
-- without it there is none. Gives a function that compares over a pair of
-- stores and prints the rows; cells are those of the leading columns.
function comparison.begin(title, leading, to_first)
  local columns = measure.join(leading, { "program", 14 },
    { "events/s", 9, "," }, { "least to most", 18 })
  if to_first then
    columns = measure.join(columns, { to_first, 12, "%.2f" })
  end
  local row = tables.begin(title, measure.join(columns,
    { "Lunette to it", 13, "%.2f" }, { "least to most", 13 },
    { "peak MiB", 8, "%.0f" }))
  local first
  return function(cells, pair, test)
    local results = measure.compare(programs.over(pair, test))
    first = first or results
    for i, result in ipairs(results) do
      local all = measure.join(cells, result.name, result.rate.median,
        measure.thousands(result.rate))
      if to_first then
        all = measure.join(all, result.rate.median / first[i].rate.median)
      end
      row(measure.join(all, i > 1 and result.ratio.median or "",
        i > 1 and measure.range(result.ratio, "%.2f") or "", result.peak))
    end
  end
end

return comparison
