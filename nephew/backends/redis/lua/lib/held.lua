-- The ids of the jobs that are in somebody's hand.
local function all_held()
    local ids, workers = {}, redis.call('HKEYS', key('workers'))
    workers[#workers + 1] = '0'
    for _, worker in ipairs(workers) do
        for _, id in ipairs(redis.call('HKEYS', key('held', worker))) do
            ids[#ids + 1] = id
        end
    end
    return ids
end
